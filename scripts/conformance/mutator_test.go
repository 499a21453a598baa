package main

import (
	"bytes"
	"context"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync/atomic"

	"github.com/go-json-experiment/json"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
)

// mutation is one way to break a server: what it does to requests before the server
// has them, to answers before the client has them, and which cases must then fail.
type mutation struct {
	name    string
	request func(r *http.Request, body []byte) []byte
	answer  func(r *http.Request, body []byte, w *httptest.ResponseRecorder)
	rpc     func(method string, q, a proto.Message, err error) (proto.Message, error)
	fails   string // regular expression over names of cases
	spares  string // those of them that may hold nevertheless
}

// mutator puts the mutation of the moment between the fake and its clients.
type mutator struct{ now atomic.Pointer[mutation] }

func (m *mutator) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		now := m.now.Load()
		if now == nil || now.rpc != nil {
			next.ServeHTTP(w, r)
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		sent := body
		if now.request != nil {
			sent = now.request(r, body)
		}
		r.Body = io.NopCloser(bytes.NewReader(sent))
		rec := httptest.NewRecorder()
		next.ServeHTTP(rec, r)
		if now.answer != nil {
			now.answer(r, body, rec)
		}
		maps.Copy(w.Header(), rec.Header())
		w.WriteHeader(rec.Code)
		w.Write(rec.Body.Bytes())
	})
}

func (m *mutator) unary(ctx context.Context, q any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	a, err := handler(ctx, q)
	if now := m.now.Load(); now != nil && now.rpc != nil {
		answer, _ := a.(proto.Message)
		return now.rpc(info.FullMethod, as[proto.Message](q), answer, err)
	}
	return a, err
}

func (m *mutator) stream(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	return handler(srv, &mutatedStream{stream, m})
}

// mutatedStream breaks the answers of a stream.
type mutatedStream struct {
	grpc.ServerStream
	m *mutator
}

func (s *mutatedStream) SendMsg(a any) error {
	if now := s.m.now.Load(); now != nil && now.rpc != nil {
		answer, err := now.rpc("stream", nil, as[proto.Message](a), nil)
		if err != nil {
			return err
		}
		a = answer
	}
	return s.ServerStream.SendMsg(a)
}

// replace sets the whole answer.
func replace(w *httptest.ResponseRecorder, code int, body string) {
	w.Code, w.Body = code, bytes.NewBufferString(body)
	w.Header().Del(headerLength)
}

// editJSON changes the object that is, or begins, the answer.
func editJSON(w *httptest.ResponseRecorder, change func(object)) {
	head, tail, err := split(&exchange{answer: w.Body.Bytes(), answerHeader: w.Header()})
	var v object
	if err != nil || json.Unmarshal(head, &v) != nil {
		return
	}
	change(v)
	head = encode(v)
	w.Body = bytes.NewBuffer(append(head, tail...))
	if w.Header().Get(headerLength) != "" {
		w.Header().Set(headerLength, strconv.Itoa(len(head)))
	}
}

// unknown answers a method that the fake does not have.
func (m *mutator) unknown(any, grpc.ServerStream) error {
	if now := m.now.Load(); now != nil && now.rpc != nil {
		return status.Error(codes.Internal, "broken")
	}
	return status.Error(codes.Unimplemented, "no such method")
}
