package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"mayfly": main})
}

// TestScripts runs the binary as users do; testdata/script is also documentation.
// Beside testscript's own commands there are those of commands below.
func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "script"),
		RequireExplicitExec: true,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"ready": ready, "api": callAPI, "age": ageFile, "field": field,
			"schema": schema, "sql": runSQL,
		},
		Setup: func(env *testscript.Env) error {
			for _, name := range []string{"LISTEN", "ADMIN", "OTHER"} {
				l, err := net.Listen("tcp", "127.0.0.1:0")
				if err != nil {
					return err
				}
				env.Setenv(name, l.Addr().String())
				if err := l.Close(); err != nil {
					return err
				}
			}
			env.Setenv("MAYFLY_LISTEN", env.Getenv("LISTEN"))
			env.Setenv("MAYFLY_ADMIN", env.Getenv("ADMIN"))
			env.Setenv("MAYFLY_SERVER", "http://"+env.Getenv("LISTEN"))
			env.Setenv("GORACE", quickExit)
			return setS3(env)
		},
	})
}

// quickExit is for GORACE: a program with the race detector else sleeps for a second
// when it ends, and a script runs many.
const quickExit = "atexit_sleep_ms=0"

// setS3 tells a script of the S3 servers that testenv has started, and a name for a
// bucket of its own.
func setS3(env *testscript.Env) error {
	env.Setenv("BUCKET", "script-"+strings.ToLower(rand.Text()[:16]))
	for _, name := range []string{"MINIO", "VERSITYGW"} {
		u, err := url.Parse(os.Getenv("MAYFLY_TEST_" + name))
		if err != nil || u.Host == "" {
			return fmt.Errorf("MAYFLY_TEST_%s names no server: run the tests with go run ./internal/testenv go test ./...", name)
		}
		secret, _ := u.User.Password()
		env.Setenv(name, u.Host)
		env.Setenv(name+"_ACCESS_KEY", u.User.Username())
		env.Setenv(name+"_SECRET_KEY", secret)
	}
	return nil
}

// ready waits until the server of this script answers that it is.
func ready(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: ready")
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for {
		r, _ := http.NewRequestWithContext(ctx, http.MethodGet, ts.Getenv("MAYFLY_SERVER")+"/readyz", nil)
		answer, err := http.DefaultClient.Do(r)
		if err == nil {
			answer.Body.Close()
			if answer.StatusCode == http.StatusOK {
				return
			}
		}
		select {
		case <-ctx.Done():
			ts.Fatalf("the server does not get ready: %v", err)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// callAPI calls the API with the token in a file and prints status, headers and
// body; @NAME at the end of the path stands for what is in the file NAME:
// api METHOD PATH TOKENFILE [Header:value]...
func callAPI(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: api METHOD PATH TOKENFILE [Header:value]...")
	}
	path, file, ok := strings.Cut(args[1], "@")
	if ok {
		path += ts.ReadFile(file)
	}
	r, err := http.NewRequest(args[0], ts.Getenv("MAYFLY_SERVER")+path, nil)
	ts.Check(err)
	r.Header.Set("Authorization", "Bearer "+strings.TrimSpace(ts.ReadFile(args[2])))
	for _, h := range args[3:] {
		name, value, _ := strings.Cut(h, ":")
		r.Header.Set(name, value)
	}
	answer, err := http.DefaultClient.Do(r)
	ts.Check(err)
	defer answer.Body.Close()
	var out bytes.Buffer
	fmt.Fprintln(&out, answer.Status)
	ts.Check(answer.Header.Write(&out))
	_, err = io.Copy(&out, answer.Body)
	ts.Check(err)
	_, err = ts.Stdout().Write(out.Bytes())
	ts.Check(err)
}

// ageFile makes a file look as if it had been written hours ago: age FILE HOURS
func ageFile(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: age FILE HOURS")
	}
	hours, err := strconv.Atoi(args[1])
	ts.Check(err)
	then := time.Now().Add(-time.Duration(hours) * time.Hour)
	ts.Check(os.Chtimes(ts.MkAbs(args[0]), then, then))
}

// field writes a text field of a JSON object to a file: field JSONFILE NAME FILE
func field(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: field JSONFILE NAME FILE")
	}
	var object map[string]any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[0])), &object))
	text, ok := object[args[1]].(string)
	if !ok {
		ts.Fatalf("%s has no text %s", args[0], args[1])
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[2]), []byte(text), 0o600))
}
