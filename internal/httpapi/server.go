package httpapi

import (
	"crypto/tls"
	"log/slog"
	"net/http"
	"time"
)

// Bounds on what one connection may take. The header's is on the safe side of
// any token: 16 KiB.
const (
	maxHeader = 16 << 10
	maxFields = 100
	maxTarget = 8 << 10 // of the path and the query
	// readTime is for the header and a short body together; a route gives a
	// long one more.
	readTime         = 10 * time.Second
	writeTime        = 60 * time.Second
	idleTime         = 2 * time.Minute
	streamsPerClient = 128
)

// NewServer returns the HTTP server of a listener: HTTP/1.1 and, with TLS,
// HTTP/2. Nil tlsConfig means plain HTTP. Its own messages, about connections
// that went wrong, go to log as debug lines: a stranger can cause any number.
func NewServer(l *Listener, tlsConfig *tls.Config, log slog.Handler) *http.Server {
	protocols := &http.Protocols{}
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(tlsConfig != nil)
	return &http.Server{
		Handler:                      l,
		ConnContext:                  rememberConnection,
		TLSConfig:                    tlsConfig,
		Protocols:                    protocols,
		HTTP2:                        &http.HTTP2Config{MaxConcurrentStreams: streamsPerClient},
		DisableGeneralOptionsHandler: true,
		MaxHeaderBytes:               maxHeader,
		ReadHeaderTimeout:            readTime,
		ReadTimeout:                  readTime,
		WriteTimeout:                 writeTime,
		IdleTimeout:                  idleTime,
		ErrorLog:                     slog.NewLogLogger(log, slog.LevelDebug),
	}
}
