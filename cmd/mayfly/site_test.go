package main

import (
	"crypto/rand"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"mayfly/blobstore/fsblob"
	"mayfly/blobstore/minioblob"
	"mayfly/internal/faultproxy"
	"mayfly/internal/sqlstore"
)

// site is where a Mayfly keeps its rows and its bytes.
type site struct {
	dir             string // where its processes run; the API key lies there too
	database, blobs string
	bucket          string                // empty: blobs is a folder
	keys            minioblob.Credentials // of the bucket
}

// localSite is the embedded default: one process, SQLite and a folder.
func localSite(t *testing.T) site {
	t.Helper()
	dir := t.TempDir()
	data := filepath.Join(dir, "mayfly-data")
	return site{
		dir:      dir,
		database: "sqlite://" + filepath.Join(data, "mayfly.db"),
		blobs:    "file://" + filepath.Join(data, "blobs"),
	}
}

// sharedSite is for any number of replicas: a schema of PostgreSQL and a bucket of MinIO
// that are the test's own, and an API key.
func sharedSite(t *testing.T) site {
	t.Helper()
	s := emptySite(t)
	s.createKey(t)
	return s
}

// emptySite is a sharedSite whose schema is empty. The bucket keeps old versions, so that
// nothing of a blob goes away by luck.
func emptySite(t *testing.T) site {
	t.Helper()
	server, err := url.Parse(os.Getenv("MAYFLY_TEST_MINIO"))
	if err != nil || server.Host == "" {
		t.Fatal("MAYFLY_TEST_MINIO names no server: run the tests with go run ./internal/testenv go test ./...")
	}
	secret, _ := server.User.Password()
	s := site{
		dir:      t.TempDir(),
		database: newSchema(t),
		bucket:   "replicas-" + strings.ToLower(rand.Text()[:16]),
		keys:     minioblob.Credentials{AccessKey: server.User.Username(), SecretKey: secret},
	}
	s.blobs = "minio://" + server.Host + "/" + s.bucket + "/pictures?insecure=true"
	c := s.minio(t)
	if err := c.MakeBucket(t.Context(), s.bucket, minio.MakeBucketOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := c.EnableVersioning(t.Context(), s.bucket); err != nil {
		t.Fatal(err)
	}
	return s
}

// createKey makes an API key and puts it where startReplica and a first start of the
// embedded default have it.
func (s site) createKey(t *testing.T) {
	t.Helper()
	key, err := s.command("key", "create", "--role", "backend", "--tenant", "acme", "--database", s.database).Output()
	if err != nil {
		t.Fatalf("key create: %v", err)
	}
	if err := os.Mkdir(filepath.Join(s.dir, "mayfly-data"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(s.dir, "mayfly-data", keyFileName), key, 0o600); err != nil {
		t.Fatal(err)
	}
}

// through is the same site for a replica whose way to the bucket goes through a proxy.
func (s site) through(t *testing.T) (site, *faultproxy.Proxy) {
	t.Helper()
	at, err := url.Parse(s.blobs)
	if err != nil {
		t.Fatal(err)
	}
	p := faultproxy.New(t, "http://"+at.Host)
	at.Host = strings.TrimPrefix(p.URL, "http://")
	s.blobs = at.String()
	return s, p
}

// as is the same site for a replica that the database knows by a name.
func (s site) as(t *testing.T, name string) site {
	t.Helper()
	at, err := url.Parse(s.database)
	if err != nil {
		t.Fatal(err)
	}
	options := at.Query()
	options.Set("application_name", name)
	at.RawQuery = options.Encode()
	s.database = at.String()
	return s
}

// command is the real program, with the keys of the bucket.
func (s site) command(args ...string) *exec.Cmd {
	c := exec.Command("mayfly", args...)
	c.Dir = s.dir
	c.Env = append(os.Environ(), "GORACE="+quickExit)
	if s.bucket != "" {
		c.Env = append(c.Env, s3AccessKey+"="+s.keys.AccessKey, s3SecretKey+"="+s.keys.SecretKey)
	}
	return c
}

// start runs a replica on free ports and waits until it listens, as startServer does
// for the embedded default.
func (s site) start(t *testing.T, args ...string) *server {
	t.Helper()
	return startProcess(t, s.command(append([]string{"serve", "--database", s.database, "--blobs", s.blobs}, args...)...))
}

// open opens the stores in this process, past the replicas.
func (s site) open(t *testing.T) (*sqlstore.Store, closingStore) {
	t.Helper()
	db, err := sqlstore.Open(t.Context(), sqlstore.Config{URL: s.database})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	if s.bucket == "" {
		_, path, _ := strings.Cut(s.blobs, "://")
		blobs, err := fsblob.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { blobs.Close() })
		return db, blobs
	}
	cfg, err := minioblob.Parse(s.blobs)
	if err != nil {
		t.Fatal(err)
	}
	blobs, err := minioblob.Open(cfg, s.keys, partBudget())
	if err != nil {
		t.Fatal(err)
	}
	return db, blobs
}

// checkBucketIsEmpty asks the S3 server itself: P5 is about old versions, delete
// markers and unfinished uploads as well, whatever our own listing says of them.
func (s site) checkBucketIsEmpty(t *testing.T) {
	t.Helper()
	c := s.minio(t)
	for o := range c.ListObjects(t.Context(), s.bucket, minio.ListObjectsOptions{Recursive: true, WithVersions: true}) {
		if o.Err != nil {
			t.Fatal(o.Err)
		}
		t.Errorf("version %q of %s remains, a delete marker: %t (P5)", o.VersionID, o.Key, o.IsDeleteMarker)
	}
	for u := range c.ListIncompleteUploads(t.Context(), s.bucket, "", true) {
		if u.Err != nil {
			t.Fatal(u.Err)
		}
		t.Errorf("upload %s of %s remains (P5)", u.UploadID, u.Key)
	}
}

func (s site) minio(t *testing.T) *minio.Client {
	t.Helper()
	at, err := url.Parse(s.blobs)
	if err != nil {
		t.Fatal(err)
	}
	c, err := minio.New(at.Host, &minio.Options{Creds: credentials.NewStaticV4(s.keys.AccessKey, s.keys.SecretKey, "")})
	if err != nil {
		t.Fatal(err)
	}
	return c
}
