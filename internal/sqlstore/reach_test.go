package sqlstore_test

import (
	"slices"
	"strings"
	"testing"

	"onnxgate/internal/sqlstore"
)

func TestEachAttemptToConnectIsToldOnceAndInOneLine(t *testing.T) {
	_, err := sqlstore.Inspect(t.Context(), sqlstore.Config{URL: "postgres://onnxgate@127.0.0.1:1/none?sslmode=prefer"})
	if err == nil || strings.Contains(err.Error(), "\n") || strings.Count(err.Error(), "connection refused") != 1 {
		t.Errorf("%v", err)
	}
	_, err = sqlstore.Inspect(t.Context(), sqlstore.Config{URL: "postgres://onnxgate@127.0.0.1:1,127.0.0.1:2/none?sslmode=prefer"})
	if err == nil || !slices.Equal([]int{1, 1}, []int{strings.Count(err.Error(), "127.0.0.1:1 "), strings.Count(err.Error(), "127.0.0.1:2 ")}) {
		t.Errorf("%v", err)
	}
}
