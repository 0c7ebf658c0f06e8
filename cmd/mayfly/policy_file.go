package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"mayfly/internal/client"
)

// policyFile is a file of policies. A field that it does not have is as in the policy
// beneath, whatever was set before: what a file makes of the policies follows from the file.
type policyFile struct {
	Policies map[string]filedPolicy `yaml:"policies"`
}

type filedPolicy struct {
	Unlimited    *bool      `yaml:"unlimited"`
	SharedTicket *bool      `yaml:"shared_ticket"`
	UnopenedTTL  *span      `yaml:"unopened_ttl"`
	ReportWindow *span      `yaml:"report_window"`
	ResumeWindow *span      `yaml:"resume_window"`
	UploadTTL    *span      `yaml:"upload_ttl"`
	TombstoneTTL *span      `yaml:"tombstone_ttl"`
	MaxSize      *byteCount `yaml:"max_size"`
}

// maxPolicyFile is more than a hundred policies take, in bytes.
const maxPolicyFile = 1 << 20

// readPolicyFile reads a file, and tells all its faults with their lines.
func readPolicyFile(path string) (policyFile, error) {
	var f policyFile
	in, err := os.Open(path)
	if err != nil {
		return f, err
	}
	defer in.Close()
	text, err := io.ReadAll(io.LimitReader(in, maxPolicyFile+1))
	switch {
	case err != nil:
		return f, err
	case len(text) > maxPolicyFile:
		return f, fmt.Errorf("%s is larger than %s", path, bytesText(maxPolicyFile))
	}
	d := yaml.NewDecoder(bytes.NewReader(text))
	d.KnownFields(true)
	if err := d.Decode(&f); err != nil && !errors.Is(err, io.EOF) {
		return f, usageError{fmt.Errorf("%s: %s", path, yamlFaults(err))}
	}
	if err := d.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return f, usageError{fmt.Errorf("%s: there is more than one document in it", path)}
	}
	if len(f.Policies) == 0 {
		return f, usageError{fmt.Errorf("%s has no policies: it has to begin with a line that names the field policies", path)}
	}
	return f, nil
}

var (
	unknownField = regexp.MustCompile(`field (\S+) not found in type \S+`)
	wrongType    = regexp.MustCompile("cannot unmarshal !!\\w+ (`.*?` )?into \\S+")
)

// yamlFaults says in an operator's words what the decoder says in a programmer's.
func yamlFaults(err error) string {
	var typed *yaml.TypeError
	if !errors.As(err, &typed) {
		return strings.TrimPrefix(err.Error(), "yaml: ")
	}
	all := make([]string, len(typed.Errors))
	for i, text := range typed.Errors {
		text = unknownField.ReplaceAllString(text, "there is no field $1")
		all[i] = wrongType.ReplaceAllString(text, "this is not what belongs here")
	}
	return strings.Join(all, "; ")
}

// requests are the changes that make the policies what the file says, by name.
func (f policyFile) requests(tenant string, applyToStored bool) []client.PolicyRequest {
	var all []client.PolicyRequest
	for _, name := range slices.Sorted(maps.Keys(f.Policies)) {
		p := f.Policies[name]
		all = append(all, client.PolicyRequest{
			Tenant: tenant, Name: name, ApplyToStored: applyToStored,
			Fields: client.PolicyFields{
				Unlimited: p.Unlimited, SharedTicket: p.SharedTicket, UnopenedTTL: p.UnopenedTTL.seconds(), ReportWindow: p.ReportWindow.seconds(),
				ResumeWindow: p.ResumeWindow.seconds(), UploadTTL: p.UploadTTL.seconds(), TombstoneTTL: p.TombstoneTTL.seconds(), MaxSize: p.MaxSize.bytes(),
			},
		})
	}
	return all
}
