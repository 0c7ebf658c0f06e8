package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

const (
	envPrefix = "MAYFLY_"
	// testPrefix begins what the tests' environment tells them, and their children.
	testPrefix = "MAYFLY_TEST_"
)

// secretVars may also be given as the path of a file that holds them, in the
// variable with _FILE behind its name: secrets of orchestrators come as files.
var secretVars = []string{"MAYFLY_KEY", "MAYFLY_DATABASE", s3AccessKey, s3SecretKey, reportHandle, passphraseVar}

// The keys of a bucket are no flags: the arguments of a process are there for all to see.
const (
	s3AccessKey = "MAYFLY_S3_ACCESS_KEY"
	s3SecretKey = "MAYFLY_S3_SECRET_KEY"
)

// environment checks the variables that are meant for Mayfly, all of them at
// once: a misspelt one would otherwise be a setting that silently does not hold.
// It reads the files that stand for secrets.
func environment(model *kong.Application, environ []string) error {
	known := append(knownVars(model), s3AccessKey, s3SecretKey, reportHandle, passphraseVar)
	var faults []error
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		if !strings.HasPrefix(name, envPrefix) || strings.HasPrefix(name, testPrefix) || slices.Contains(known, name) {
			continue
		}
		secret, isFile := strings.CutSuffix(name, "_FILE")
		if !isFile || !slices.Contains(secretVars, secret) {
			faults = append(faults, fmt.Errorf("unknown variable %s%s", name, nearest(name, known)))
			continue
		}
		if _, both := os.LookupEnv(secret); both {
			faults = append(faults, fmt.Errorf("%s and %s are both set: one of them", secret, name))
			continue
		}
		content, err := os.ReadFile(value)
		if err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", name, err))
			continue
		}
		os.Setenv(secret, strings.TrimSpace(string(content)))
	}
	return errors.Join(faults...)
}

// knownVars are the variables of all flags of all commands.
func knownVars(model *kong.Application) []string {
	var known []string
	_ = kong.Visit(model.Node, func(node kong.Visitable, next kong.Next) error {
		if flag, ok := node.(*kong.Flag); ok {
			known = append(known, flag.Envs...)
		}
		return next(nil)
	})
	slices.Sort(known)
	return slices.Compact(known)
}

// nearest suggests the known variable that shares the longest beginning.
func nearest(name string, known []string) string {
	best, shared := "", len(envPrefix)
	for _, k := range known {
		n := 0
		for n < len(k) && n < len(name) && k[n] == name[n] {
			n++
		}
		if n > shared {
			best, shared = k, n
		}
	}
	if best == "" {
		return ""
	}
	return ": did you mean " + best + "?"
}
