package grpcapi

import (
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/encoding/proto"
	"google.golang.org/grpc/mem"
)

// message is one that has arrived, as bytes. Its zero value is empty.
type message struct{ data mem.Buffer }

func (m *message) bytes() []byte {
	if m.data == nil {
		return nil
	}
	return m.data.ReadOnlyData()
}

func (m *message) len() int { return len(m.bytes()) }

func (m *message) free() {
	if m.data != nil {
		m.data.Free()
		m.data = nil
	}
}

// answer is a message that is ready to be sent. It belongs to grpc-go then.
type answer struct{ data mem.BufferSlice }

// newAnswer returns an answer of size bytes, which write appends.
func newAnswer(size int, write func([]byte) []byte) answer {
	pool := mem.DefaultBufferPool()
	memory := pool.Get(size)
	*memory = write((*memory)[:0])
	return answer{mem.BufferSlice{mem.NewBuffer(memory, pool)}}
}

// codec hands messages on as the bytes that they are, and leaves those of
// generated types to grpc-go's own.
type codec struct{ encoding.CodecV2 }

func newCodec() codec { return codec{encoding.GetCodecV2(proto.Name)} }

// Marshal returns the bytes of a message.
func (c codec) Marshal(v any) (mem.BufferSlice, error) {
	if a, ok := v.(answer); ok {
		return a.data, nil
	}
	return c.CodecV2.Marshal(v)
}

// Unmarshal keeps the bytes of a message.
func (c codec) Unmarshal(data mem.BufferSlice, v any) error {
	if m, ok := v.(*message); ok {
		m.free()
		m.data = data.MaterializeToBuffer(mem.DefaultBufferPool())
		return nil
	}
	return c.CodecV2.Unmarshal(data, v)
}
