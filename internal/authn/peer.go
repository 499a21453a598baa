package authn

import (
	"crypto/x509"
	"sync/atomic"
	"time"

	"onnxgate/internal/fault"
)

// PeerTrust remembers until when the certificates of one connection were found
// good. Its zero value remembers nothing. It is safe for concurrent use.
type PeerTrust struct{ known atomic.Pointer[trusted] }

// trusted does not change.
type trusted struct {
	generation uint64
	until      time.Time
}

// Check refuses the certificates of a connection that are no longer good at the
// time, whatever other credential comes over it. What was found holds until
// something ends or changes. A nil trust asks for no certificates. The fault is
// Unauthenticated.
func (p *PeerTrust) Check(trust CertificateTrust, certificates []*x509.Certificate, at time.Time) error {
	if len(certificates) == 0 || trust == nil {
		return nil
	}
	generation := trust.Generation()
	if known := p.known.Load(); known != nil && known.generation == generation && !at.After(known.until) {
		return nil
	}
	until, err := trust.Verify(certificates)
	if err != nil {
		return fault.Wrap(fault.Unauthenticated, "The client certificate is no longer trusted", err)
	}
	p.known.Store(&trusted{generation: generation, until: until})
	return nil
}
