package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"

	"golang.org/x/sync/errgroup"
)

// predictions returns ready-made requests for rows that differ.
func predictions(addr, token string) [][]byte {
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // test data that repeats
	requests := make([][]byte, 1024)
	for i := range requests {
		x := row(random)
		body := fmt.Sprintf(`{"sepal_length":%.1f,"sepal_width":%.1f,"petal_length":%.1f,"petal_width":%.1f}`, x[0], x[1], x[2], x[3])
		requests[i] = post(addr, token, "/predict", "", body)
	}
	return requests
}

// load sends the server's requests over several connections, each waiting for
// its answer.
func load(ctx context.Context, s *server, connections, total int) error {
	if s.calls != nil {
		return s.calls.load(ctx, connections, total)
	}
	group, ctx := errgroup.WithContext(ctx)
	for c := range connections {
		group.Go(func() error { return converse(ctx, s, c*97, total/connections) })
	}
	return group.Wait()
}

func converse(ctx context.Context, s *server, first, count int) error {
	conn, err := s.dial(ctx)
	if err != nil {
		return err
	}
	defer conn.Close() //nolint:errcheck // the answers are in
	reader := bufio.NewReader(conn)
	for i := range count {
		if err := ctx.Err(); err != nil {
			return err
		}
		if _, err := conn.Write(s.requests[(first+i)%len(s.requests)]); err != nil {
			return err
		}
		if err := receive(reader, io.Discard, nil); err != nil {
			return err
		}
	}
	return nil
}

// receive reads one answer, which must be a success.
func receive(reader *bufio.Reader, body io.Writer, header http.Header) error {
	resp, err := http.ReadResponse(reader, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close() //nolint:errcheck // it was read to its end
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 1024))
		return fmt.Errorf("status %s: %s", resp.Status, text)
	}
	for name, values := range resp.Header {
		if header != nil {
			header[name] = slices.Clone(values)
		}
	}
	_, err = io.Copy(body, resp.Body)
	return err
}

// exchange sends one request and returns its answer, less what net/http adds
// by itself.
func exchange(ctx context.Context, s *server) (*answer, error) {
	conn, err := s.dial(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Close() //nolint:errcheck // the answer is in
	if _, err := conn.Write(s.requests[0]); err != nil {
		return nil, err
	}
	sample := &answer{Header: http.Header{}}
	var body bytes.Buffer
	if err := receive(bufio.NewReader(conn), &body, sample.Header); err != nil {
		return nil, err
	}
	sample.Header.Del("Date")
	sample.Header.Del("Content-Length")
	sample.Body = body.Bytes()
	return sample, nil
}
