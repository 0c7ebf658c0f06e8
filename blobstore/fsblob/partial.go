package fsblob

import (
	"crypto/rand"
	"strings"

	"mayfly/blobstore"
)

// An unfinished upload lies beside its blob-to-be as KEY.RANDOM.part. No key
// has a dot, so it can be neither opened nor taken for a blob. The random part
// keeps apart two uploads of one key: neither can finish or remove the other's.
const partialSuffix = ".part"

func partialName(key blobstore.Key) string {
	return string(key) + "." + rand.Text() + partialSuffix
}

// parsePartial reads the key from the name of an unfinished upload.
func parsePartial(name string) (key blobstore.Key, ok bool) {
	name, ok = strings.CutSuffix(name, partialSuffix)
	if !ok {
		return "", false
	}
	before, random, ok := strings.Cut(name, ".")
	if !ok || random == "" || strings.ContainsAny(random, "./\\") {
		return "", false
	}
	key, err := blobstore.ParseKey(before)
	return key, err == nil
}
