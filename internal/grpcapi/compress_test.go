package grpcapi_test

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"encoding/binary"
	"io"
	"strconv"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"onnxgate/internal/gunzip"
	"onnxgate/internal/testkit"
)

func TestMessagesMayBeCompressed(t *testing.T) {
	f := serve(t, testkit.Flower{}, nil)
	plain, err := f.client.ModelInfer(as(t.Context(), "user"), about("iris"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"gzip", "deflate"} {
		for range 3 { // with readers and writers that are used again
			got, err := f.client.ModelInfer(as(t.Context(), "user"), about("iris"), grpc.UseCompressor(name))
			if err != nil || !proto.Equal(got.Outputs[0], plain.Outputs[0]) {
				t.Errorf("%s: %v, %v", name, got, err)
			}
		}
	}
}

// packed returns one message of a call, marked as compressed, in its frame.
func packed(content []byte) []byte {
	frame := binary.BigEndian.AppendUint32([]byte{1}, uint32(len(content)))
	return append(frame, content...)
}

func TestCompressedMessagesThatAreNoneAreRefused(t *testing.T) {
	f := serve(t, testkit.Flower{}, nil)
	message, err := proto.Marshal(about("iris"))
	if err != nil {
		t.Fatal(err)
	}
	var whole, zipped, empty bytes.Buffer
	for into, w := range map[*bytes.Buffer]io.WriteCloser{&whole: gzip.NewWriter(&whole), &zipped: zlib.NewWriter(&zipped)} {
		if _, err := w.Write(message); err != nil || w.Close() != nil || into.Len() == 0 {
			t.Fatal(err)
		}
	}
	if err := gzip.NewWriter(&empty).Close(); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		encoding string
		content  []byte
		want     codes.Code
	}{
		"gzip":                         {"gzip", whole.Bytes(), codes.OK},
		"deflate":                      {"deflate", zipped.Bytes(), codes.OK},
		"as many members as there may": {"gzip", append(bytes.Repeat(empty.Bytes(), gunzip.MaxMembers-1), whole.Bytes()...), codes.OK},
		"350,000 members":              {"gzip", append(bytes.Repeat(empty.Bytes(), 350_000), whole.Bytes()...), codes.Internal},
		"cut off":                      {"gzip", whole.Bytes()[:whole.Len()-3], codes.Internal},
		"deflate as gzip":              {"gzip", zipped.Bytes(), codes.Internal},
		"gzip as deflate":              {"deflate", whole.Bytes(), codes.Internal},
		"what nobody knows":            {"br", whole.Bytes(), codes.Unimplemented},
	} {
		t.Run(name, func(t *testing.T) {
			resp := send(t, f, packed(tc.content), func() []byte { return nil }, "Grpc-Encoding", tc.encoding) //nolint:bodyclose // send does
			got := resp.Trailer.Get("Grpc-Status") + resp.Header.Get("Grpc-Status")
			if want := strconv.Itoa(int(tc.want)); got != want {
				t.Errorf("status %s %s, want %s", got, resp.Trailer.Get("Grpc-Message"), want)
			}
		})
	}
}
