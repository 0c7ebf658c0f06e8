package faultproxy

import (
	"fmt"
	"time"
)

// Fault says what happens to a call. The zero value lets it pass. Faults can be
// compared with ==.
type Fault struct {
	kind kind
	wait time.Duration
}

type kind int

const (
	pass kind = iota
	latency
	resetBefore
	resetRequest
	resetResponse
	slowDown
	effectThenTimeout
	shortRead
	flipRequestByte
	flipResponseByte
	errorIn200
	effectThenErrorIn200
	stall
)

var kindNames = [...]string{
	"Pass", "Latency", "ResetBefore", "ResetRequest", "ResetResponse", "SlowDown", "EffectThenTimeout", "ShortRead",
	"FlipRequestByte", "FlipResponseByte", "ErrorIn200", "EffectThenErrorIn200", "Stall",
}

var (
	// Pass passes the call on.
	Pass = Fault{}
	// ResetBefore resets the connection (RST) before a byte of the request reaches the server.
	ResetBefore = Fault{kind: resetBefore}
	// ResetRequest resets the connection after half of the request's body, or of the head if it has none, was passed on.
	ResetRequest = Fault{kind: resetRequest}
	// ResetResponse resets the connection after half of the answer's body, or of the head if it has none, was sent to the client; what of a long half it has not received by then is lost.
	ResetResponse = Fault{kind: resetResponse}
	// SlowDown answers 503 with S3's error SlowDown; the call is not passed on.
	SlowDown = Fault{kind: slowDown}
	// ShortRead closes the connection, cleanly, after half of the answer's body, though its length said more.
	ShortRead = Fault{kind: shortRead}
	// FlipRequestByte flips a bit of the byte in the middle of the request's body on its way to the server.
	FlipRequestByte = Fault{kind: flipRequestByte}
	// FlipResponseByte flips a bit of the byte in the middle of the answer's body.
	FlipResponseByte = Fault{kind: flipResponseByte}
	// ErrorIn200 answers a CompleteMultipartUpload, CopyObject or UploadPartCopy 200 with S3's error InternalError as the body; the call is not passed on.
	ErrorIn200 = Fault{kind: errorIn200}
	// EffectThenErrorIn200 is ErrorIn200 after the call was passed on and the server answered it 200.
	EffectThenErrorIn200 = Fault{kind: effectThenErrorIn200}
	// Stall sends half of the answer's body, or of the head if it has none, and then nothing more until the client goes away.
	Stall = Fault{kind: stall}
)

// Latency waits for d before the call is passed on.
func Latency(d time.Duration) Fault { return Fault{latency, d} }

// EffectThenTimeout passes the call on, lets the server finish it even if the client goes away, drops the answer, and closes the connection without one after hang.
func EffectThenTimeout(hang time.Duration) Fault { return Fault{effectThenTimeout, hang} }

// String is the fault as Go code names it.
func (f Fault) String() string {
	if f.kind == latency || f.kind == effectThenTimeout {
		return fmt.Sprintf("%s(%v)", kindNames[f.kind], f.wait)
	}
	return kindNames[f.kind]
}

// effect tells whether the call must reach its effect, whatever the client does.
func (f Fault) effect() bool { return f.kind == effectThenTimeout || f.kind == effectThenErrorIn200 }

// Always is a rule: every call of the operation op.
func Always(op Op, fault Fault) func(Call) Fault {
	return func(c Call) Fault {
		if c.Op == op {
			return fault
		}
		return Pass
	}
}

// Nth is a rule: the n-th call of the operation op, counted from 1.
func Nth(op Op, n int, fault Fault) func(Call) Fault {
	return func(c Call) Fault {
		// N is how many came before.
		if c.Op == op && c.N == n-1 {
			return fault
		}
		return Pass
	}
}
