package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"time"
)

// shared prints what predictions cost whose rates are counted in Redis, beside those
// that are counted in memory.
func shared(ctx context.Context, opt options, gate *server, dir string) error {
	addr, stop, err := startRedis(ctx)
	if err != nil {
		fmt.Println("Redis is not there to count in:", err)
		return nil
	}
	defer stop()
	counted, err := startGate(ctx, opt.binary, filepath.Join(dir, "shared"), filepath.Join(dir, "shared.log"), "ONNXGATE_REDIS_URL=redis://"+addr)
	if err != nil {
		return err
	}
	defer counted.stop()
	token, err := counted.login(ctx)
	if err != nil {
		return err
	}
	counted.requests = predictions(counted.addr, token)
	return compare(ctx, opt, pair{"server CPU per HTTPS POST /predict, rates in", "Redis", "memory (at most 1.60)", counted, gate})
}

// startRedis runs a server that keeps nothing on disk.
func startRedis(ctx context.Context) (addr string, stop func(), err error) {
	if addr, err = freeAddr(ctx); err != nil {
		return "", nil, err
	}
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return "", nil, err
	}
	cmd := exec.CommandContext(ctx, "redis-server", "--bind", "127.0.0.1", "--port", port, "--save", "", "--appendonly", "no") //nolint:gosec // a port of our own
	if err := cmd.Start(); err != nil {
		return "", nil, err
	}
	stop = func() {
		cmd.Process.Kill() //nolint:errcheck // it may have ended
		cmd.Wait()         //nolint:errcheck // ended by us
	}
	for range 500 {
		if conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr); err == nil {
			return addr, stop, conn.Close()
		}
		time.Sleep(10 * time.Millisecond)
	}
	stop()
	return "", nil, errors.New("redis-server does not listen")
}
