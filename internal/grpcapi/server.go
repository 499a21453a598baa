package grpcapi

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/netip"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/peer"

	"onnxgate/internal/admission"
	"onnxgate/internal/authn"
	"onnxgate/internal/reqctx"
)

// Bounds on what one connection may take.
const (
	handshakeTime        = 10 * time.Second
	maxHeader            = 16 << 10
	streamsPerConnection = 128
	// windowSize is how much of a message a stranger may send before anybody has
	// looked at the call. It must not grow by itself.
	windowSize           = 64 << 10
	connectionWindowSize = 1 << 20
	// idleTime and connectionAge end connections, so that clients look for others
	// now and then; calls in flight have ageGrace to end.
	idleTime      = 5 * time.Minute
	connectionAge = time.Hour
	ageGrace      = time.Minute
	// pingTime is how often a client may ask whether the server is there, and how
	// long the server waits until it asks.
	pingTime = 10 * time.Second
)

// NewServer returns the server of the API. Nil tlsConfig means that connections
// are not encrypted.
func (a *API) NewServer(tlsConfig *tls.Config) *grpc.Server {
	transport := insecure.NewCredentials()
	if tlsConfig != nil {
		transport = credentials.NewTLS(tlsConfig)
	}
	s := grpc.NewServer(
		grpc.Creds(remembering{transport}),
		grpc.ForceServerCodecV2(newCodec()),
		grpc.InTapHandle(a.tapped),
		grpc.UnknownServiceHandler(a.handler(a.unknown)),
		grpc.ConnectionTimeout(handshakeTime),
		grpc.MaxHeaderListSize(maxHeader),
		grpc.MaxConcurrentStreams(streamsPerConnection),
		grpc.MaxRecvMsgSize(int(a.cfg.MaxMessage)),
		grpc.StaticStreamWindowSize(windowSize),
		grpc.StaticConnWindowSize(connectionWindowSize),
		grpc.WaitForHandlers(true),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: pingTime, PermitWithoutStream: true}),
		grpc.KeepaliveParams(keepalive.ServerParameters{
			MaxConnectionIdle: idleTime, MaxConnectionAge: connectionAge, MaxConnectionAgeGrace: ageGrace,
			Time: 6 * pingTime, Timeout: 2 * pingTime,
		}),
	)
	a.register(s)
	return s
}

// peerInfo is what is found out once for all calls of a connection.
type peerInfo struct {
	credentials.AuthInfo

	addr         netip.Addr
	certificates []*x509.Certificate
	trust        authn.PeerTrust
	refusals     admission.Refusals
}

// remembering keeps what is known about a connection with it.
type remembering struct {
	credentials.TransportCredentials
}

// ServerHandshake returns a *peerInfo.
func (r remembering) ServerHandshake(conn net.Conn) (net.Conn, credentials.AuthInfo, error) { //nolint:ireturn // the interface asks for it
	secure, info, err := r.TransportCredentials.ServerHandshake(conn)
	if err != nil {
		return nil, nil, err
	}
	p := &peerInfo{AuthInfo: info, addr: reqctx.PeerAddr(conn.RemoteAddr().String())}
	if t, ok := info.(credentials.TLSInfo); ok {
		p.certificates = t.State.PeerCertificates
	}
	return secure, p, nil
}

// peerOf returns what is known about the connection of a call.
func peerOf(ctx context.Context) *peerInfo {
	if p, ok := peer.FromContext(ctx); ok {
		if info, ok := p.AuthInfo.(*peerInfo); ok {
			return info
		}
	}
	return &peerInfo{} // nobody's
}
