#include "textflag.h"

// MD5 (RFC 1321) of eight messages side by side, one in each 32-bit lane of the 256-bit registers, with AVX-512VL for its rotations
// (VPROLD), functions of three inputs (VPTERNLOGD) and 32 registers: the sixteen words of a block stay in Y16 to Y31.

// The functions of the four rounds as truth tables of VPTERNLOGD, whose index is 4 times the bit of b, 2 times that of c, and that of d.
#define F $0xCA // b&c | ^b&d
#define G $0xE4 // d&b | ^d&c
#define H $0x96 // b ^ c ^ d
#define I $0x39 // c ^ (b | ^d)

// STEP is one of the 64: a = b + rol(a + f(b, c, d) + m + k, s). R11 points to the constants.
#define STEP(f, a, b, c, d, m, s, k) \
	VMOVDQA     b, Y4 \
	VPADDD.BCST (k*4)(R11), a, a \
	VPTERNLOGD  f, d, c, Y4 \
	VPADDD      m, a, a \
	VPADDD      Y4, a, a \
	VPROLD      s, a, a \
	VPADDD      b, a, a

// PAIR interleaves 32 bytes at off of two messages: 32-bit words of both by turns.
#define PAIR(p, q, off, lo, hi) \
	VMOVDQU    off(p)(R13*1), Y4 \
	VMOVDQU    off(q)(R13*1), Y5 \
	VPUNPCKLDQ Y5, Y4, lo \
	VPUNPCKHDQ Y5, Y4, hi

// WORDS makes words w0, w1, w4 and w5 of all messages of what four PAIRs interleaved.
#define WORDS(p, q, r, s, w0, w1, w4, w5) \
	VPUNPCKLQDQ q, p, Y14 \
	VPUNPCKHQDQ q, p, Y15 \
	VPUNPCKLQDQ s, r, Y4 \
	VPUNPCKHQDQ s, r, Y5 \
	VSHUFI32X4  $0, Y4, Y14, w0 \
	VSHUFI32X4  $3, Y4, Y14, w4 \
	VSHUFI32X4  $0, Y5, Y15, w1 \
	VSHUFI32X4  $3, Y5, Y15, w5

// HALF loads 32 bytes at off of each message into eight registers, one for each word.
#define HALF(off, w0, w1, w2, w3, w4, w5, w6, w7) \
	PAIR(AX, BX, off, Y6, Y7) \
	PAIR(CX, DX, off, Y8, Y9) \
	PAIR(SI, DI, off, Y10, Y11) \
	PAIR(R8, R9, off, Y12, Y13) \
	WORDS(Y6, Y8, Y10, Y12, w0, w1, w4, w5) \
	WORDS(Y7, Y9, Y11, Y13, w2, w3, w6, w7)

// func blocks8(states *[4][Lanes]uint32, data *[Lanes]*byte, n int)
TEXT ·blocks8(SB), NOSPLIT, $0-24
	MOVQ states+0(FP), R12
	MOVQ data+8(FP), R10
	MOVQ 0(R10), AX
	MOVQ 8(R10), BX
	MOVQ 16(R10), CX
	MOVQ 24(R10), DX
	MOVQ 32(R10), SI
	MOVQ 40(R10), DI
	MOVQ 48(R10), R8
	MOVQ 56(R10), R9
	MOVQ n+16(FP), R10
	LEAQ ·sines(SB), R11
	XORQ R13, R13

	VMOVDQU 0(R12), Y0
	VMOVDQU 32(R12), Y1
	VMOVDQU 64(R12), Y2
	VMOVDQU 96(R12), Y3
	TESTQ   R10, R10
	JLE     done

loop:
	HALF(0, Y16, Y17, Y18, Y19, Y20, Y21, Y22, Y23)
	HALF(32, Y24, Y25, Y26, Y27, Y28, Y29, Y30, Y31)


	STEP(F, Y0, Y1, Y2, Y3, Y16, $7, 0)
	STEP(F, Y3, Y0, Y1, Y2, Y17, $12, 1)
	STEP(F, Y2, Y3, Y0, Y1, Y18, $17, 2)
	STEP(F, Y1, Y2, Y3, Y0, Y19, $22, 3)
	STEP(F, Y0, Y1, Y2, Y3, Y20, $7, 4)
	STEP(F, Y3, Y0, Y1, Y2, Y21, $12, 5)
	STEP(F, Y2, Y3, Y0, Y1, Y22, $17, 6)
	STEP(F, Y1, Y2, Y3, Y0, Y23, $22, 7)
	STEP(F, Y0, Y1, Y2, Y3, Y24, $7, 8)
	STEP(F, Y3, Y0, Y1, Y2, Y25, $12, 9)
	STEP(F, Y2, Y3, Y0, Y1, Y26, $17, 10)
	STEP(F, Y1, Y2, Y3, Y0, Y27, $22, 11)
	STEP(F, Y0, Y1, Y2, Y3, Y28, $7, 12)
	STEP(F, Y3, Y0, Y1, Y2, Y29, $12, 13)
	STEP(F, Y2, Y3, Y0, Y1, Y30, $17, 14)
	STEP(F, Y1, Y2, Y3, Y0, Y31, $22, 15)

	STEP(G, Y0, Y1, Y2, Y3, Y17, $5, 16)
	STEP(G, Y3, Y0, Y1, Y2, Y22, $9, 17)
	STEP(G, Y2, Y3, Y0, Y1, Y27, $14, 18)
	STEP(G, Y1, Y2, Y3, Y0, Y16, $20, 19)
	STEP(G, Y0, Y1, Y2, Y3, Y21, $5, 20)
	STEP(G, Y3, Y0, Y1, Y2, Y26, $9, 21)
	STEP(G, Y2, Y3, Y0, Y1, Y31, $14, 22)
	STEP(G, Y1, Y2, Y3, Y0, Y20, $20, 23)
	STEP(G, Y0, Y1, Y2, Y3, Y25, $5, 24)
	STEP(G, Y3, Y0, Y1, Y2, Y30, $9, 25)
	STEP(G, Y2, Y3, Y0, Y1, Y19, $14, 26)
	STEP(G, Y1, Y2, Y3, Y0, Y24, $20, 27)
	STEP(G, Y0, Y1, Y2, Y3, Y29, $5, 28)
	STEP(G, Y3, Y0, Y1, Y2, Y18, $9, 29)
	STEP(G, Y2, Y3, Y0, Y1, Y23, $14, 30)
	STEP(G, Y1, Y2, Y3, Y0, Y28, $20, 31)

	STEP(H, Y0, Y1, Y2, Y3, Y21, $4, 32)
	STEP(H, Y3, Y0, Y1, Y2, Y24, $11, 33)
	STEP(H, Y2, Y3, Y0, Y1, Y27, $16, 34)
	STEP(H, Y1, Y2, Y3, Y0, Y30, $23, 35)
	STEP(H, Y0, Y1, Y2, Y3, Y17, $4, 36)
	STEP(H, Y3, Y0, Y1, Y2, Y20, $11, 37)
	STEP(H, Y2, Y3, Y0, Y1, Y23, $16, 38)
	STEP(H, Y1, Y2, Y3, Y0, Y26, $23, 39)
	STEP(H, Y0, Y1, Y2, Y3, Y29, $4, 40)
	STEP(H, Y3, Y0, Y1, Y2, Y16, $11, 41)
	STEP(H, Y2, Y3, Y0, Y1, Y19, $16, 42)
	STEP(H, Y1, Y2, Y3, Y0, Y22, $23, 43)
	STEP(H, Y0, Y1, Y2, Y3, Y25, $4, 44)
	STEP(H, Y3, Y0, Y1, Y2, Y28, $11, 45)
	STEP(H, Y2, Y3, Y0, Y1, Y31, $16, 46)
	STEP(H, Y1, Y2, Y3, Y0, Y18, $23, 47)

	STEP(I, Y0, Y1, Y2, Y3, Y16, $6, 48)
	STEP(I, Y3, Y0, Y1, Y2, Y23, $10, 49)
	STEP(I, Y2, Y3, Y0, Y1, Y30, $15, 50)
	STEP(I, Y1, Y2, Y3, Y0, Y21, $21, 51)
	STEP(I, Y0, Y1, Y2, Y3, Y28, $6, 52)
	STEP(I, Y3, Y0, Y1, Y2, Y19, $10, 53)
	STEP(I, Y2, Y3, Y0, Y1, Y26, $15, 54)
	STEP(I, Y1, Y2, Y3, Y0, Y17, $21, 55)
	STEP(I, Y0, Y1, Y2, Y3, Y24, $6, 56)
	STEP(I, Y3, Y0, Y1, Y2, Y31, $10, 57)
	STEP(I, Y2, Y3, Y0, Y1, Y22, $15, 58)
	STEP(I, Y1, Y2, Y3, Y0, Y29, $21, 59)
	STEP(I, Y0, Y1, Y2, Y3, Y20, $6, 60)
	STEP(I, Y3, Y0, Y1, Y2, Y27, $10, 61)
	STEP(I, Y2, Y3, Y0, Y1, Y18, $15, 62)
	STEP(I, Y1, Y2, Y3, Y0, Y25, $21, 63)

	VPADDD  0(R12), Y0, Y0
	VPADDD  32(R12), Y1, Y1
	VPADDD  64(R12), Y2, Y2
	VPADDD  96(R12), Y3, Y3
	VMOVDQU Y0, 0(R12)
	VMOVDQU Y1, 32(R12)
	VMOVDQU Y2, 64(R12)
	VMOVDQU Y3, 96(R12)
	ADDQ    $64, R13
	DECQ    R10
	JNZ     loop

done:
	VZEROUPPER
	RET
