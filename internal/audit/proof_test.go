package audit_test

import (
	"encoding/base64"
	"testing"

	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"onnxgate/internal/audit"
	"onnxgate/internal/audit/ledger"
)

// U02: what the log proves is checked by a library that has nothing to do with the
// one that it is made of.
func TestProofsAreThoseThatAnotherLibraryChecks(t *testing.T) {
	log := newTampered(t)
	view, err := ledger.Look(log.dir, 4)
	if err != nil {
		t.Fatal(err)
	}
	var roots [][]byte
	for n := range int64(tamperedSize + 1) {
		root, err := tlog.TreeHash(n, view)
		if err != nil {
			t.Fatal(err)
		}
		roots = append(roots, root[:])
	}
	for to := int64(1); to <= tamperedSize; to++ {
		for from := int64(1); from <= to; from++ {
			path, err := tlog.ProveTree(to, from, view)
			if err != nil {
				t.Fatal(err)
			}
			if err := proof.VerifyConsistency(rfc6962.DefaultHasher, uint64(from), uint64(to), hashes(path), roots[from], roots[to]); err != nil {
				t.Errorf("from %d to %d: %v", from, to, err)
			}
		}
	}
}

func hashes(path []tlog.Hash) [][]byte {
	all := make([][]byte, len(path))
	for i := range path {
		all[i] = path[i][:]
	}
	return all
}

// A receipt is checked with its own text alone: the note, the line and the path.
func TestReceiptsAreThoseThatAnotherLibraryChecks(t *testing.T) {
	log := newTampered(t)
	for index := range int64(tamperedSize) {
		e, ok, err := log.with.Find(t.Context(), "", index)
		if err != nil || !ok {
			t.Fatalf("record %d: %v, %v", index, ok, err)
		}
		receipt, err := log.with.Receipt(t.Context(), e)
		if err != nil {
			t.Fatal(err)
		}
		checkReceipt(t, receipt, index)
	}
}

func checkReceipt(t *testing.T, receipt *audit.Receipt, index int64) {
	t.Helper()
	verifier, err := note.NewVerifier(receipt.Key)
	if err != nil {
		t.Fatal(err)
	}
	tree, err := ledger.ParseCheckpoint([]byte(receipt.Checkpoint), verifier)
	if err != nil || tree.N != receipt.Size {
		t.Fatalf("%+v, %v", tree, err)
	}
	leaf := rfc6962.DefaultHasher.HashLeaf([]byte(receipt.Line))
	var path [][]byte
	for _, text := range receipt.Proof {
		hash, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		path = append(path, hash)
	}
	if base64.StdEncoding.EncodeToString(leaf) != receipt.Leaf {
		t.Errorf("record %d: the leaf is another", index)
	}
	if err := proof.VerifyInclusion(rfc6962.DefaultHasher, uint64(index), uint64(tree.N), leaf, path, tree.Hash[:]); err != nil {
		t.Errorf("record %d: %v", index, err)
	}
}
