package redis_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	redigo "github.com/gomodule/redigo/redis"

	"onnxgate/internal/redis"
)

// rogue is a server that answers one command with more than it was asked for, again
// and again where it is to be endless, and all others as Redis does.
type rogue struct {
	command, answer string
	endless         bool
}

// start returns the server's URL.
func (r rogue) start(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var served sync.WaitGroup
	t.Cleanup(func() {
		_ = listener.Close()
		served.Wait()
	})
	served.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			served.Go(func() {
				r.serve(conn)
				_ = conn.Close()
			})
		}
	})
	return "redis://" + listener.Addr().String()
}

// serve answers until the other side hangs up.
func (r rogue) serve(conn net.Conn) {
	usual := map[string]string{"PING": "+PONG\r\n", "EVALSHA": ":1\r\n", "SUBSCRIBE": "*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n"}
	in := bufio.NewReader(conn)
	for {
		name, err := command(in)
		if err != nil {
			return
		}
		answer, again := "+OK\r\n", name == r.command && r.endless
		if other, ok := usual[name]; ok {
			answer = other
		}
		if name == r.command {
			answer = r.answer
		}
		for {
			if _, err := io.WriteString(conn, answer); err != nil {
				return
			}
			if !again {
				break
			}
		}
	}
}

// command reads a command, and returns its name.
func command(in *bufio.Reader) (string, error) {
	var words []string
	n, err := stated(in)
	for range n {
		var length int
		if length, err = stated(in); err != nil {
			return "", err
		}
		word := make([]byte, length+len("\r\n"))
		if _, err = io.ReadFull(in, word); err != nil {
			return "", err
		}
		words = append(words, string(word[:length]))
	}
	if err != nil {
		return "", err
	}
	return words[0], nil
}

func stated(in *bufio.Reader) (int, error) {
	line, err := in.ReadString('\n')
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(line[1:]))
}

func TestAReplyThatIsMoreThanWasAskedForEndsTheConnectionBeforeItTakesMemory(t *testing.T) {
	t.Parallel()
	for name, r := range map[string]rogue{
		"a length that no slice can have":  {answer: "$9000000000000000000\r\n"},
		"a length that overflows":          {answer: "$9999999999999999999\r\n"},
		"a length of 3 GB":                 {answer: "$3000000000\r\n"},
		"an array that no machine holds":   {answer: "*100000000000000\r\n"},
		"an array of 300 million":          {answer: "*300000000\r\n"},
		"arrays in arrays without end":     {answer: strings.Repeat("*1\r\n", 10_000), endless: true},
		"a line without end":               {answer: "+" + strings.Repeat("A", 100_000), endless: true},
		"arrays that are large altogether": {answer: "*1000\r\n" + strings.Repeat("*1000\r\n", 9)},
	} {
		for command, ask := range map[string]func(*testing.T, string) error{
			"EVAL": func(t *testing.T, url string) error {
				t.Helper()
				return redis.Reach(t.Context(), url)
			},
			"PING": awayBecause,
			"EVALSHA": func(t *testing.T, url string) error {
				t.Helper()
				_, err := newClient(t, url).Run(add, 1, "sum", 1)
				return err
			},
			"SUBSCRIBE": func(t *testing.T, url string) error {
				t.Helper()
				return newClient(t, url).Follow(t.Context(), "c")
			},
		} {
			t.Run(command+"/"+name, func(t *testing.T) {
				t.Parallel()
				server := rogue{command: command, answer: r.answer, endless: r.endless}
				if err := ask(t, server.start(t)); !errors.Is(err, redis.ErrMore) {
					t.Errorf("%v; want %v", err, redis.ErrMore)
				}
			})
		}
	}
}

// awayBecause returns why Redis goes away that was there.
func awayBecause(t *testing.T, url string) error {
	t.Helper()
	told := make(chan error, 99)
	c, err := redis.New(redis.Config{URL: url, Patience: 30 * time.Second, Changed: func(_ string, err error) { told <- err }, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := <-told; err != nil {
		t.Fatal(err)
	}
	return <-told
}

// stream is a connection on which so much has come, in chunks.
type stream struct {
	net.Conn
	rest  []byte
	chunk int
}

func (s *stream) Read(p []byte) (int, error) {
	if len(s.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(p, s.rest[:min(s.chunk, len(s.rest))])
	s.rest = s.rest[n:]
	return n, nil
}

func (*stream) SetReadDeadline(time.Time) error { return nil }
func (*stream) Close() error                    { return nil }

// receive has redigo read all replies. The error is what came behind them.
func receive(conn net.Conn) (all []any, err error) {
	c := redigo.NewConn(conn, 0, 0)
	for {
		reply, err := c.Receive()
		if answer, ok := errors.AsType[redigo.Error](err); ok {
			reply, err = answer, nil
		}
		if err != nil {
			return all, err
		}
		all = append(all, reply)
	}
}

// extent returns how many values arrays have together, and how deep they lie.
func extent(reply any) (values, depth int) {
	array, ok := reply.([]any)
	if !ok || len(array) == 0 {
		return 0, 0
	}
	values = len(array)
	for _, element := range array {
		v, d := extent(element)
		values, depth = values+v, max(depth, d)
	}
	return values, depth + 1
}

func ints(n int) string { return fmt.Sprintf("*%d\r\n", n) + strings.Repeat(":1\r\n", n) }

func bulk(n int) string { return fmt.Sprintf("$%d\r\n%s\r\n", n, strings.Repeat("b", n)) }

func TestRepliesAreReadUpToTheirBoundsAndNotBeyond(t *testing.T) {
	t.Parallel()
	const header, line = len("$65526\r\n\r\n"), len("+\r\n")
	nested := strings.Repeat("*1\r\n", redis.MaxDepth)
	for name, tc := range map[string]struct {
		stream string
		want   int
		more   bool
	}{
		"what Redis answers":         {"+OK\r\n-ERR no\r\n:-5\r\n$-1\r\n*-1\r\n*0\r\n$0\r\n\r\n*2\r\n$2\r\n\r\n\r\n*1\r\n+x\r\n", 8, false},
		"many replies":               {strings.Repeat(bulk(9000), 99), 99, false},
		"the longest string":         {bulk(redis.MaxReply - header), 1, false},
		"one byte more":              {bulk(redis.MaxReply - header + 1), 0, true},
		"the longest line":           {"+" + strings.Repeat("x", redis.MaxReply-line) + "\r\n", 1, false},
		"one character more":         {"+" + strings.Repeat("x", redis.MaxReply-line+1) + "\r\n", 0, true},
		"the longest array":          {ints(redis.MaxValues) + ints(redis.MaxValues), 2, false},
		"one value more":             {ints(1) + ints(redis.MaxValues+1), 1, true},
		"one value more, in another": {"*2\r\n" + ints(redis.MaxValues-2) + ints(1), 0, true},
		"the deepest arrays":         {nested + ":1\r\n" + nested + "*0\r\n", 2, false},
		"one array deeper":           {nested + "*1\r\n:1\r\n", 0, true},
		"strings that are too much together": {
			"*2\r\n" + bulk(redis.MaxReply/2) + bulk(redis.MaxReply/2), 0, true,
		},
	} {
		for _, chunk := range []int{1, 7, len(tc.stream)} {
			got, err := receive(redis.Guarded(&stream{rest: []byte(tc.stream), chunk: chunk}))
			// What comes together with too much is lost with it.
			if len(got) != tc.want && (!tc.more || chunk == 1) || errors.Is(err, redis.ErrMore) != tc.more || !tc.more && !errors.Is(err, io.EOF) {
				t.Errorf("%s, in chunks of %d: %d replies and %v; want %d", name, chunk, len(got), err, tc.want)
			}
		}
	}
}

func FuzzRepliesAreFollowedAsTheyAreRead(f *testing.F) {
	for _, text := range []string{
		"+OK\r\n", "+\r\n", "-ERR x\r\n", ":12\r\n:-12\r\n:\r\n:-\r\n", "$5\r\nhello\r\n$0\r\n\r\n$-1\r\n", "$3\r\nabcd\r\n", "*-1\r\n*0\r\n", "*2\r\n:1\r\n*1\r\n$1\r\na\r\n+x\r\n",
		"$-01\r\n", "$--1\r\n", "*-2\r\n", "\r\n", "+a\n", "+a\r\r\n", ":1\r1\r\n", "$1\r\n", "%1\r\n", "$00000000000000000000001\r\na\r\n", ":9223372036854775807\r\n",
		"$9000000000000000000\r\n", "$9999999999999999999\r\n", "$3000000000\r\n", "*100000000000000\r\n", "*300000000\r\n", "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n", "$18446744073709551617\r\na\r\n",
	} {
		f.Add([]byte(text), uint8(3))
	}
	f.Fuzz(func(t *testing.T, data []byte, chunk uint8) {
		size := int(chunk) + 1
		length, complete, refused := redis.Within(data)
		if redis.WithinChunks(data, size) != (refused == nil) {
			t.Fatalf("%q is judged otherwise in chunks of %d: %v", data, size, refused)
		}
		// Without the guard: what it lets pass must be harmless, and read as it was followed.
		replies, err := receive(&stream{rest: slices.Clone(data[:length]), chunk: size})
		if len(replies) != complete || !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Fatalf("%q: %d replies and %v; want %d", data[:length], len(replies), err, complete)
		}
		for _, reply := range replies {
			if values, depth := extent(reply); values > redis.MaxValues || depth > redis.MaxDepth {
				t.Fatalf("%q: %d values, %d deep", data, values, depth)
			}
			if text, ok := reply.([]byte); ok && len(text) > redis.MaxReply {
				t.Fatalf("%d bytes", len(text))
			}
		}
		// With it: nothing else is read.
		guarded, _ := receive(redis.Guarded(&stream{rest: bytes.Clone(data), chunk: size}))
		if len(guarded) > complete || refused == nil && len(guarded) != complete {
			t.Fatalf("%q: %d replies are read, want %d", data, len(guarded), complete)
		}
	})
}
