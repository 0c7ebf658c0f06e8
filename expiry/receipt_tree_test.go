package expiry

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"testing"

	"mayfly/blobstore"
)

// TestTreeVectors: the trees that the tests of Certificate Transparency know.
func TestTreeVectors(t *testing.T) {
	t.Parallel()
	inputs := []string{"", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"}
	roots := []string{
		"6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
		"fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
		"aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
		"d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
		"4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
		"76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
		"ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
		"5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
	}
	var leaves []blobstore.Digest
	for i, want := range roots {
		input, err := hex.DecodeString(inputs[i])
		if err != nil {
			t.Fatal(err)
		}
		leaves = append(leaves, leafHash(append([]byte{leafPrefix}, input...)))
		if got := plant(leaves, make([][]blobstore.Digest, len(leaves))); got.String() != want {
			t.Errorf("%d leaves have root %s, want %s", len(leaves), got, want)
		}
	}
}

// TestEveryLeafClimbs, and nothing else does: no other leaf, at no other index, by no
// longer, shorter or changed path, and in no tree of another size that would need it.
func TestEveryLeafClimbs(t *testing.T) {
	t.Parallel()
	for size := 1; size <= 33; size++ {
		leaves, paths := make([]blobstore.Digest, size), make([][]blobstore.Digest, size)
		for i := range leaves {
			leaves[i] = sha256.Sum256([]byte{leafPrefix, byte(i)})
		}
		root := plant(leaves, paths)
		fits := func(leaf blobstore.Digest, index int, path []blobstore.Digest) bool {
			got, err := climb(leaf, index, size, path)
			return err == nil && got == root
		}
		for i, leaf := range leaves {
			if !fits(leaf, i, paths[i]) {
				t.Fatalf("leaf %d of %d does not climb", i, size)
			}
			for j := range leaves {
				if j != i && (fits(leaf, j, paths[i]) || fits(leaf, j, paths[j]) || fits(leaves[j], i, paths[i])) {
					t.Errorf("leaf %d of %d passes for %d", i, size, j)
				}
			}
			if fits(leaf, i, append(slices.Clone(paths[i]), root)) || fits(nodeHash(leaf, leaf), i, paths[i]) {
				t.Errorf("leaf %d of %d climbs too high", i, size)
			}
			for n := range paths[i] {
				changed := slices.Clone(paths[i])
				changed[n][31] ^= 1
				if fits(leaf, i, changed) || fits(leaf, i, paths[i][:n]) {
					t.Errorf("leaf %d of %d climbs by a path that is none", i, size)
				}
			}
		}
		// A node of the tree, given out as a leaf, has a path to the root that is one shorter.
		if size == 4 {
			node := nodeHash(leaves[0], leaves[1])
			if fits(node, 0, paths[0][1:]) {
				t.Error("a node passes for a leaf")
			}
			if leafHash(append(append([]byte{leafPrefix}, leaves[0][:]...), leaves[1][:]...)) == node {
				t.Error("a payload of two hashes has the hash of their node")
			}
		}
	}
}
