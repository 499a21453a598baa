package main

import (
	"crypto/tls"
	"io"
	"net/http"
)

// grpcTarget is the server's gRPC service.
type grpcTarget struct{ conn io.Closer }

func dial(string, *tls.Config, http.Header) (*grpcTarget, error) { return nil, nil }
