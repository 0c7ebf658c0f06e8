package expiry

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/bits"
	"strconv"

	"mayfly/blobstore"
)

// One signature may stand for many receipts: it is over the root of a Merkle tree, as RFC
// 6962 has it (section 2.1), of which each receipt is a leaf. Leaves and nodes are hashed
// with another first byte, so that none of them can be taken for the other.
const (
	leafPrefix = 0
	nodePrefix = 1
	// maxTree bounds the receipts of one tree, and so a path to 16 hashes.
	maxTree = 1 << 16
)

// appendLeaf is the payload of a receipt that can be true behind b, which is leafPrefix.
func (r Receipt) appendLeaf(b []byte) ([]byte, error) {
	err := r.check()
	if err != nil {
		return b, err
	}
	leaf, err := r.appendJSON(b)
	if err != nil {
		return b, err
	}
	return leaf, nil
}

// leafHash is of a payload behind leafPrefix.
func leafHash(prefixed []byte) blobstore.Digest { return sha256.Sum256(prefixed) }

func nodeHash(left, right blobstore.Digest) blobstore.Digest {
	b := [1 + 2*sha256.Size]byte{nodePrefix}
	copy(b[1:], left[:])
	copy(b[1+sha256.Size:], right[:])
	return sha256.Sum256(b[:])
}

// leftOf is how many of n leaves, two or more, are on the left of the root: the largest
// power of two that is less.
func leftOf(n int) int { return 1 << (bits.Len(uint(n-1)) - 1) }

// plant is the root over the leaves, one or more. To the path of each it appends what is
// beside its way, from the leaf to the root.
func plant(leaves []blobstore.Digest, paths [][]blobstore.Digest) blobstore.Digest {
	if len(leaves) == 1 {
		return leaves[0]
	}
	k := leftOf(len(leaves))
	left, right := plant(leaves[:k], paths[:k]), plant(leaves[k:], paths[k:])
	for i := range paths {
		if i < k {
			paths[i] = append(paths[i], right)
		} else {
			paths[i] = append(paths[i], left)
		}
	}
	return nodeHash(left, right)
}

// climb is the root of a tree of size leaves that has this one at index. The path must be
// as long as index and size make it: each leaf has one.
func climb(leaf blobstore.Digest, index, size int, path []blobstore.Digest) (blobstore.Digest, error) {
	if size == 1 && len(path) == 0 {
		return leaf, nil
	}
	if size == 1 || len(path) == 0 {
		return leaf, errors.New("the path does not fit into the tree")
	}
	k, last, path := leftOf(size), path[len(path)-1], path[:len(path)-1]
	if index < k {
		left, err := climb(leaf, index, k, path)
		return nodeHash(left, last), err
	}
	right, err := climb(leaf, index-k, size-k, path)
	return nodeHash(last, right), err
}

// tree is the statement that is signed for many receipts.
type tree struct {
	Version int `json:"version"`
	// Receipts counts the leaves.
	Receipts int              `json:"receipts"`
	Root     blobstore.Digest `json:"root"`
}

// appendTree is its JSON, which must never change: a receipt's is made anew whenever it is
// asked for.
func appendTree(b []byte, receipts int, root blobstore.Digest) []byte {
	b = strconv.AppendInt(append(b, `{"version":1,"receipts":`...), int64(receipts), 10)
	b = append(append(append(b, `,"root":"`...), root.String()...), `"}`...)
	return b
}

// inclusion is a receipt in the envelope of its tree.
type inclusion struct {
	Receipt string   `json:"receipt"` // its payload
	Index   int      `json:"index"`
	Path    []string `json:"path"`
}

// included is the payload of the receipt, which is seen to be in the tree.
func included(signed []byte, raw json.RawMessage) ([]byte, error) {
	if raw == nil {
		return nil, fmt.Errorf("%w: inclusion is missing", ErrNotEnvelope)
	}
	var in inclusion
	if err := decodeExactly(raw, &in); err != nil {
		return nil, fmt.Errorf("%w: inclusion: %w", ErrNotEnvelope, err)
	}
	payload, err := decodeBase64(in.Receipt)
	if err != nil {
		return nil, fmt.Errorf("%w: inclusion: receipt: %w", ErrNotEnvelope, err)
	}
	path := make([]blobstore.Digest, len(in.Path))
	for i, text := range in.Path {
		hash, err := decodeBase64(text)
		if err == nil && len(hash) != sha256.Size {
			err = fmt.Errorf("%d bytes, not %d", len(hash), sha256.Size)
		}
		if err != nil {
			return nil, fmt.Errorf("%w: inclusion: path: %w", ErrNotEnvelope, err)
		}
		path[i] = blobstore.Digest(hash)
	}
	var t tree
	if err := decodeStatement(signed, TreeType, &t); err != nil {
		return nil, err
	}
	if t.Receipts < 1 || t.Receipts > maxTree {
		return nil, fmt.Errorf("%w: a tree of %d receipts, not 1 to %d", ErrStatement, t.Receipts, maxTree)
	}
	if in.Index < 0 || in.Index >= t.Receipts {
		return nil, fmt.Errorf("%w: receipt %d of a tree of %d", ErrNotEnvelope, in.Index, t.Receipts)
	}
	root, err := climb(leafHash(append([]byte{leafPrefix}, payload...)), in.Index, t.Receipts, path)
	if err != nil {
		return nil, fmt.Errorf("%w: inclusion: %w", ErrNotEnvelope, err)
	}
	if root != t.Root {
		return nil, fmt.Errorf("%w: the receipt is not in the tree that was signed, or was changed", ErrBadSignature)
	}
	return payload, nil
}

// appendInclusion is its JSON.
func appendInclusion(b, payload []byte, index int, path []blobstore.Digest) []byte {
	b = base64.StdEncoding.AppendEncode(append(b, `{"receipt":"`...), payload)
	b = strconv.AppendInt(append(b, `","index":`...), int64(index), 10)
	b = append(b, `,"path":[`...)
	for i, hash := range path {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(base64.StdEncoding.AppendEncode(append(b, '"'), hash[:]), '"')
	}
	return append(b, `]}`...)
}
