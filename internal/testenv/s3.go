package main

import (
	"net/url"
	"path/filepath"
)

// servers are the S3 servers that the bucket's tests run against. The two are written
// independently of each other: what holds on both is S3, and not one server's habit.
func servers() []server {
	return []server{
		{program{"github.com/minio/minio", "v0.0.0-20260212201848-7aac2a2c5b7c"}, "MAYFLY_TEST_MINIO", minio},
		{program{"github.com/versity/versitygw/cmd/versitygw", "v1.8.0"}, "MAYFLY_TEST_VERSITYGW", versitygw},
	}
}

func minio(dir string, at *url.URL) (args, env []string) {
	secret, _ := at.User.Password()
	args = []string{"server", "--address", at.Host, filepath.Join(dir, "data")}
	env = []string{
		"MINIO_ROOT_USER=" + at.User.Username(),
		"MINIO_ROOT_PASSWORD=" + secret,
		"MINIO_BROWSER=off", // without it there is no console, and no port for one
		"MINIO_UPDATE=off",  // a test run asks nobody for a newer version
	}
	return args, env
}

func versitygw(dir string, at *url.URL) (args, env []string) {
	secret, _ := at.User.Password()
	args = []string{
		"--port", at.Host,
		"--quiet", // a line for each request would hide an error in the log
		"posix",
		"--versioning-dir", filepath.Join(dir, "versions"), // without it no bucket can be versioned
		filepath.Join(dir, "data"),
	}
	env = []string{
		"ROOT_ACCESS_KEY_ID=" + at.User.Username(),
		"ROOT_SECRET_ACCESS_KEY=" + secret,
	}
	return args, env
}
