package main

import (
	"fmt"
	"math"
	"slices"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// scaleLanes writes a function that scales eight values at a time.
func scaleLanes() {
	TEXT("scaleLanes", NOSPLIT, "func(values *float32, by, plus float32, n int)")
	Doc("scaleLanes multiplies n times eight values and adds to them, rounding once.")
	Pragma("noescape")
	values, n := Load(Param("values"), GP64()), Load(Param("n"), GP64())
	one := XMM()
	by, plus := YMM(), YMM()
	Load(Param("by"), one)
	VBROADCASTSS(one, by)
	Load(Param("plus"), one)
	VBROADCASTSS(one, plus)
	Label("scaleLanes_next")
	CMPQ(n, U8(0))
	JE(LabelRef("scaleLanes_done"))
	v := YMM()
	VMOVUPS(Mem{Base: values}, v)
	VFMADD213PS(plus, by, v)
	VMOVUPS(v, Mem{Base: values})
	ADDQ(U8(laneBytes), values)
	DECQ(n)
	JMP(LabelRef("scaleLanes_next"))
	Label("scaleLanes_done")
	VZEROUPPER()
	RET()
}

// tangentLanes writes a function that takes the steps of its twin in linalg, which
// rounds as often.
func tangentLanes() {
	TEXT("tangentLanes", NOSPLIT, "func(values *float32, n int)")
	Doc("tangentLanes replaces n times eight values by their hyperbolic tangents.")
	Pragma("noescape")
	values, n := Load(Param("values"), GP64()), Load(Param("n"), GP64())
	least, greatest := held(spreadSingle("tangentLeast", -9)), held(spreadSingle("tangentGreatest", 9))
	over := series("tangentOver", -2.76076847742355e-16, 2.00018790482477e-13, -8.60467152213735e-11,
		5.12229709037114e-08, 1.48572235717979e-05, 6.37261928875436e-04, 4.89352455891786e-03)
	under := series("tangentUnder", 1.19825839466702e-06, 1.18534705686654e-04, 2.26843463243900e-03, 4.89352518554385e-03)
	Label("next")
	x, square := YMM(), YMM()
	VMAXPS(Mem{Base: values}, least, x) // the operand written first is what comes of NaN
	VMINPS(x, greatest, x)
	VMULPS(x, x, square)
	p, q := over(square), under(square)
	VMULPS(x, p, p)
	VDIVPS(q, p, p)
	VMOVUPS(p, Mem{Base: values})
	ADDQ(U8(laneBytes), values)
	DECQ(n)
	JNE(LabelRef("next"))
	VZEROUPPER()
	RET()
}

// series returns what writes a polynomial of eight float32, whose factors are given
// from the highest power down. All but the first are kept in registers.
func series(name string, factors ...float32) func(x reg.VecVirtual) reg.VecVirtual {
	first, rest := spreadSingle(name, factors[0]), make([]reg.VecVirtual, len(factors)-1)
	for i, f := range factors[1:] {
		rest[i] = held(spreadSingle(fmt.Sprintf("%s%d", name, i), f))
	}
	return func(x reg.VecVirtual) reg.VecVirtual {
		sum := YMM()
		VMOVUPS(first, sum)
		for _, f := range rest {
			VFMADD213PS(f, x, sum)
		}
		return sum
	}
}

func held(m Mem) reg.VecVirtual {
	v := YMM()
	VMOVUPS(m, v)
	return v
}

// spreadSingle is spread for eight float32.
func spreadSingle(name string, value float32) Mem {
	m := GLOBL(name, RODATA|NOPTR)
	for i := range lanes {
		DATA(4*i, U32(math.Float32bits(value)))
	}
	return m
}

// wholePowerLanes writes a function that raises eight values at a time to a whole
// degree, as its twin in linalg does.
func wholePowerLanes() {
	TEXT("wholePowerLanes", NOSPLIT, "func(values *float32, degree, n int)")
	Doc("wholePowerLanes raises n times eight values to a degree from 1 on, by squares, rounding each time.")
	Pragma("noescape")
	values, degree, n := Load(Param("values"), GP64()), Load(Param("degree"), GP64()), Load(Param("n"), GP64())
	one := held(spreadSingle("single", 1))
	x, power, left := YMM(), YMM(), GP64()
	Label("next")
	VMOVUPS(Mem{Base: values}, x)
	VMOVAPS(one, power)
	MOVQ(degree, left)
	Label("bit")
	SHRQ(U8(1), left)
	JCC(LabelRef("square"))
	VMULPS(x, power, power)
	Label("square")
	VMULPS(x, x, x)
	TESTQ(left, left)
	JNE(LabelRef("bit"))
	VMOVUPS(power, Mem{Base: values})
	ADDQ(U8(laneBytes), values)
	DECQ(n)
	JNE(LabelRef("next"))
	VZEROUPPER()
	RET()
}

// spread returns four float64 of a value, in memory. They are given by their
// bits, since the assembler takes a whole number for an integer.
func spread(name string, value float64) Mem { return spreadBits(name, math.Float64bits(value)) }

func spreadBits(name string, bits uint64) Mem {
	m := GLOBL(name, RODATA|NOPTR)
	for i := range 4 {
		DATA(8*i, U64(bits))
	}
	return m
}

// byExponentials writes functions that are made of the exponential, for eight
// values at a time and step by step as their twins in linalg do. Each gets a value
// times by, and what finish makes of its exponential, in float64.
func byExponentials() {
	c := newConstants()
	c.lanes("exponentialLanes", "the exponential of v times by", func(e reg.VecVirtual) reg.VecVirtual { return e })
	c.lanesWeighing()
	c.lanes("sigmoidLanes", "1/(1+e) of the exponential e of v times by", func(e reg.VecVirtual) reg.VecVirtual {
		one := YMM()
		VMOVUPD(c.factors[len(c.factors)-1], one)
		VADDPD(one, e, e)
		VDIVPD(e, one, e)
		return e
	})
	byLogarithms(&c)
	c.belowLanes()
}

// constants is what the exponential needs.
type constants struct {
	least, greatest, log2e, ln2, rounder, bias Mem
	factors                                    []Mem // of the series, from the highest power down
}

func newConstants() constants {
	c := constants{
		least: spread("least", -110), greatest: spread("greatest", 110),
		log2e: spread("log2e", math.Log2E), ln2: spread("ln2", math.Ln2), rounder: spread("rounder", 3<<51),
		bias: spreadBits("bias", 1023),
	}
	for power, factorial := 0, 1.0; power <= 9; power++ {
		c.factors = slices.Insert(c.factors, 0, spread(fmt.Sprintf("factor%d", power), 1/factorial))
		factorial *= float64(power + 1)
	}
	return c
}

// lanes writes a function. finish gets the exponential.
func (c *constants) lanes(name, gives string, finish func(e reg.VecVirtual) reg.VecVirtual) {
	TEXT(name, NOSPLIT, "func(values *float32, by float32, n int)")
	Doc(name + " replaces each v of n times eight values by " + gives + ".")
	Pragma("noescape")
	values, n := Load(Param("values"), GP64()), Load(Param("n"), GP64())
	factor, by := YMM(), XMM()
	Load(Param("by"), by)
	VBROADCASTSS(by, factor)
	Label(name + "_next")
	CMPQ(n, U8(0))
	JE(LabelRef(name + "_done"))
	c.eight(values, factor, finish)
	ADDQ(U8(laneBytes), values)
	DECQ(n)
	JMP(LabelRef(name + "_next"))
	Label(name + "_done")
	VZEROUPPER()
	RET()
}

// eight replaces the eight values at an address.
func (c *constants) eight(values reg.Register, factor reg.VecVirtual, finish func(e reg.VecVirtual) reg.VecVirtual) {
	x, high := YMM(), XMM()
	VMULPS(Mem{Base: values}, factor, x)
	VEXTRACTF128(U8(1), x, high)
	low, upper := YMM(), YMM()
	VCVTPS2PD(x.AsX(), low)
	VCVTPS2PD(high, upper)
	for half, e := range c.exponentials(low, upper) {
		result := XMM()
		VCVTPD2PSY(finish(e), result)
		VMOVUPS(result, Mem{Base: values, Disp: 16 * half})
	}
}

// lanesWeighing writes the function of exponentials alone that makes two sums meanwhile.
func (c *constants) lanesWeighing() {
	const name = "exponentialsAndTwoSums"
	TEXT(name, NOSPLIT, "func(dst *float32, by float32, n int, "+strandsParams+")")
	Pragma("noescape")
	s := newStrands(2)
	s.doc(name + " replaces each v of n times eight of dst by the exponential of v times by.")
	dst, n := Load(Param("dst"), GP64()), Load(Param("n"), GP64())
	factor, by := YMM(), XMM()
	Load(Param("by"), by)
	VBROADCASTSS(by, factor)
	Label(name + "_next")
	c.eight(dst, factor, func(e reg.VecVirtual) reg.VecVirtual { return e })
	s.add(4, "weighed")
	ADDQ(U8(laneBytes), dst)
	DECQ(n)
	JNE(LabelRef(name + "_next"))
	s.finish()
	VZEROUPPER()
	RET()
}

// exponentials writes the exponentials of vectors of four float64, which are brought to
// where these neither overflow nor vanish. The vectors go side by side, so that one does
// not wait for its own steps, and the series is of pairs of powers, as in linalg.
func (c *constants) exponentials(xs ...reg.VecVirtual) []reg.VecVirtual {
	each := func(constant Mem, do func(i int, constant reg.VecVirtual)) {
		v := held(constant)
		for i := range xs {
			do(i, v)
		}
	}
	some := func() []reg.VecVirtual {
		v := make([]reg.VecVirtual, len(xs))
		for i := range v {
			v[i] = YMM()
		}
		return v
	}
	shifted, r, square, e, pair := some(), some(), some(), some(), some()
	// The second operand is what comes of NaN.
	each(c.greatest, func(i int, limit reg.VecVirtual) { VMINPD(xs[i], limit, xs[i]) })
	each(c.least, func(i int, limit reg.VecVirtual) { VMAXPD(xs[i], limit, xs[i]) })
	each(c.rounder, func(i int, rounder reg.VecVirtual) {
		VMOVAPD(rounder, shifted[i])
		VFMADD231PD(c.log2e, xs[i], shifted[i])
		VSUBPD(rounder, shifted[i], r[i])
	})
	each(c.ln2, func(i int, ln2 reg.VecVirtual) {
		VFNMADD132PD(ln2, xs[i], r[i])
		VMULPD(r[i], r[i], square[i])
	})
	for f := 0; f < len(c.factors); f += 2 {
		sum := pair
		if f == 0 {
			sum = e
		}
		each(c.factors[f], func(i int, odd reg.VecVirtual) { VMOVAPD(odd, sum[i]) })
		each(c.factors[f+1], func(i int, even reg.VecVirtual) {
			VFMADD213PD(even, r[i], sum[i])
			if f > 0 {
				VFMADD213PD(pair[i], square[i], e[i])
			}
		})
	}
	each(c.bias, func(i int, bias reg.VecVirtual) {
		VPADDQ(bias, shifted[i], shifted[i])
		VPSLLQ(U8(52), shifted[i], shifted[i])
		VMULPD(shifted[i], e[i], e[i])
	})
	return e
}

// logarithms is what the logarithm needs.
type logarithms struct {
	least, exponent, one, integer, bias Mem
	factors                             []Mem // of the series, from the highest power down
}

func newLogarithms() logarithms {
	const one = 1023 << 52 // the bits of 1
	l := logarithms{
		least: spreadBits("logLeast", math.Float64bits(0.703125)-one), exponent: spreadBits("exponentBits", 0xfff<<52),
		one: spreadBits("oneBits", one), integer: spreadBits("integerBits", 0x433<<52), bias: spread("integerBias", 1<<52+1023),
	}
	for power := 1; power <= 13; power += 2 {
		l.factors = slices.Insert(l.factors, 0, spread(fmt.Sprintf("logFactor%d", power), 2/float64(power)))
	}
	return l
}

// of writes the logarithm of four positive normal float64. With x = 2^k m and m
// near 1 it is k ln 2, and the series of 2 artanh (m-1)/(m+1).
func (l *logarithms) of(c *constants, x reg.VecVirtual) reg.VecVirtual {
	above, k, m, s, q, sum := YMM(), YMM(), YMM(), YMM(), YMM(), YMM()
	VPSUBQ(l.least, x, above)
	VPAND(l.exponent, above, m)
	VPSUBQ(m, x, m)
	VPADDQ(l.one, m, m)
	VPSRLQ(U8(52), above, k)
	VPOR(l.integer, k, k)
	VSUBPD(l.bias, k, k)
	VADDPD(l.one, m, q)
	VSUBPD(l.one, m, s)
	VDIVPD(q, s, s)
	VMULPD(s, s, q)
	VMOVUPD(l.factors[0], sum)
	for _, f := range l.factors[1:] {
		VFMADD213PD(f, q, sum)
	}
	VMULPD(s, sum, sum)
	VFMADD231PD(c.ln2, k, sum)
	return sum
}

// byLogarithms writes functions of positive finite values, eight at a time.
func byLogarithms(c *constants) {
	l := newLogarithms()
	TEXT("logarithmLanes", NOSPLIT, "func(values *float32, n int)")
	Doc("logarithmLanes replaces each of n times eight positive finite values by its logarithm.")
	Pragma("noescape")
	values, n := Load(Param("values"), GP64()), Load(Param("n"), GP64())
	Label("next")
	for half := range 2 {
		x, result := YMM(), XMM()
		VCVTPS2PD(Mem{Base: values, Disp: 16 * half}, x)
		VCVTPD2PSY(l.of(c, x), result)
		VMOVUPS(result, Mem{Base: values, Disp: 16 * half})
	}
	ADDQ(U8(laneBytes), values)
	DECQ(n)
	JNE(LabelRef("next"))
	VZEROUPPER()
	RET()

	TEXT("powerLanes", NOSPLIT, "func(values *float32, exponents *float64, step, n int)")
	Doc("powerLanes raises each of n times eight positive finite values to the power of its finite exponent.",
		"After eight of them come those that are step bytes behind.")
	Pragma("noescape")
	values, exponents := Load(Param("values"), GP64()), Load(Param("exponents"), GP64())
	step, n := Load(Param("step"), GP64()), Load(Param("n"), GP64())
	Label("next")
	for half := range 2 {
		x, result := YMM(), XMM()
		VCVTPS2PD(Mem{Base: values, Disp: 16 * half}, x)
		e := l.of(c, x)
		VMULPD(Mem{Base: exponents, Disp: 32 * half}, e, e)
		VCVTPD2PSY(c.exponentials(e)[0], result)
		VMOVUPS(result, Mem{Base: values, Disp: 16 * half})
	}
	ADDQ(U8(laneBytes), values)
	ADDQ(step, exponents)
	DECQ(n)
	JNE(LabelRef("next"))
	VZEROUPPER()
	RET()
}
