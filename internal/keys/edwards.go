package keys

import (
	"errors"
	"math/big"
	"slices"
)

// curve25519 holds the field and the constant of edwards25519 (RFC 8032 section
// 5.1): -x² + y² = 1 + d·x²·y² modulo p.
type curve25519 struct{ p, d *big.Int }

func newCurve25519() curve25519 {
	p := new(big.Int).Lsh(big.NewInt(1), 255)
	p.Sub(p, big.NewInt(19))
	d := new(big.Int).ModInverse(big.NewInt(121666), p)
	d.Mul(d, big.NewInt(-121665))
	return curve25519{p, d.Mod(d, p)}
}

// checkPoint refuses an encoding that is no point of the curve, and points of
// small order, for which one signature fits many messages. The doubles of
// points of order 8 have y = 0, and the points of smaller orders have y = 0, 1
// or -1; by the law of addition both hold where
//
//	y · (y² - 1) · (d·y⁴ + 2y² - 1) = 0.
func (c curve25519) checkPoint(encoded []byte) error {
	little := slices.Clone(encoded)
	little[len(little)-1] &= 0x7f // the sign of x
	slices.Reverse(little)
	y := new(big.Int).SetBytes(little)
	one := big.NewInt(1)
	y2 := c.mod(new(big.Int).Mul(y, y))
	dy2 := c.mod(new(big.Int).Mul(c.d, y2))
	above := new(big.Int).Sub(y2, one) // x² = above / below
	below := new(big.Int).Add(dy2, one)
	quartic := new(big.Int).Mul(dy2, y2)
	quartic.Add(quartic, new(big.Int).Lsh(y2, 1)).Sub(quartic, one)
	small := new(big.Int).Mul(y, above)
	switch {
	case y.Cmp(c.p) >= 0:
		return errors.New("the Ed25519 key is not in its canonical form")
	case c.mod(small.Mul(small, quartic)).Sign() == 0:
		return errors.New("the Ed25519 key is a point of small order")
	case big.Jacobi(c.mod(new(big.Int).Mul(above, below)), c.p) < 0:
		return errors.New("the Ed25519 key is not a point of its curve")
	}
	return nil
}

func (c curve25519) mod(n *big.Int) *big.Int { return n.Mod(n, c.p) }
