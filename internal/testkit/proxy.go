package testkit

import (
	"context"
	"io"
	"net"
	"sync"
	"testing"
)

// Proxy stands between a client and a server, and plays what becomes of networks:
// it passes everything on, it refuses connections, or it hangs, which is that it
// takes connections and bytes, and nothing comes of them.
type Proxy struct {
	network, target, addr string

	mu       sync.Mutex
	changed  *sync.Cond
	listener net.Listener // nil while it refuses
	hanging  bool
	ended    bool
	conns    map[net.Conn]bool
	copying  sync.WaitGroup
}

// StartProxy passes connections on to a server, until the test ends.
func StartProxy(tb testing.TB, network, target string) *Proxy {
	tb.Helper()
	addr, err := FreeAddr()
	if err != nil {
		tb.Fatal(err)
	}
	p := &Proxy{network: network, target: target, addr: addr, conns: map[net.Conn]bool{}}
	p.changed = sync.NewCond(&p.mu)
	p.Pass(tb)
	tb.Cleanup(p.end)
	return p
}

// Addr is where it listens, "127.0.0.1:port", whatever it does at present.
func (p *Proxy) Addr() string { return p.addr }

// Pass passes on what comes, and what was held back.
func (p *Proxy) Pass(tb testing.TB) {
	tb.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hanging = false
	p.changed.Broadcast()
	if p.listener != nil {
		return
	}
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", p.addr)
	if err != nil {
		tb.Fatal(err)
	}
	p.listener = l
	p.copying.Go(func() { p.accept(l) })
}

// Hang takes connections and bytes from now on, and answers nothing.
func (p *Proxy) Hang() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hanging = true
}

// Refuse ends every connection and takes none any more.
func (p *Proxy) Refuse() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refuse()
}

func (p *Proxy) refuse() {
	p.hanging = false
	if p.listener != nil {
		_ = p.listener.Close()
		p.listener = nil
	}
	for c := range p.conns {
		_ = c.Close()
	}
	p.changed.Broadcast()
}

func (p *Proxy) end() {
	p.mu.Lock()
	p.ended = true
	p.refuse()
	p.mu.Unlock()
	p.copying.Wait()
}

func (p *Proxy) accept(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		if p.keep(c) {
			p.copying.Go(func() { p.serve(c) })
		}
	}
}

// keep remembers a connection, or closes it where none is wanted any more.
func (p *Proxy) keep(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended || p.listener == nil {
		_ = c.Close()
		return false
	}
	p.conns[c] = true
	return true
}

func (p *Proxy) forget(c net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, c)
	_ = c.Close()
}

func (p *Proxy) serve(client net.Conn) {
	defer p.forget(client)
	p.await()
	server, err := (&net.Dialer{}).DialContext(context.Background(), p.network, p.target)
	if err != nil || !p.keep(server) {
		return
	}
	defer p.forget(server)
	var back sync.WaitGroup
	back.Go(func() { p.pass(client, server) })
	p.pass(server, client)
	back.Wait()
}

// pass copies until one of both ends, and then ends the other.
func (p *Proxy) pass(to, from net.Conn) {
	_, _ = io.Copy(held{to, p}, from) // how it ended shows at both ends
	_ = to.Close()
	_ = from.Close()
}

// held writes once the proxy does not hang.
type held struct {
	io.Writer
	proxy *Proxy
}

func (h held) Write(b []byte) (int, error) {
	h.proxy.await()
	return h.Writer.Write(b)
}

// await returns when the proxy does not hang.
func (p *Proxy) await() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.hanging {
		p.changed.Wait()
	}
}
