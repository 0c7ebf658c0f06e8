package main

import (
	"math/rand/v2"
	"testing"

	"github.com/anishathalye/porcupine"
)

// by makes an operation of a hand-written history; at are its call and its return.
func by(opener uint16, v verb, a answer, at ...int64) operation {
	op := operation{opener: opener, verb: v, answer: a, call: at[0]}
	if a != unknown {
		op.answered = at[1]
	}
	return op
}

// strict makes it one without a claim key.
func strict(op operation) operation {
	op.strict = true
	return op
}

var handWritten = []struct {
	name  string
	want  porcupine.CheckResult
	calls []operation
}{
	{"nobody asks", porcupine.Ok, nil},
	{"one is served", porcupine.Ok, []operation{by(1, opening, served, 0, 10)}},
	{"of two at once the second wins", porcupine.Ok, []operation{
		by(1, opening, refused, 0, 10), by(2, opening, served, 5, 15),
	}},
	{"two are served, one after the other", porcupine.Illegal, []operation{
		by(1, opening, served, 0, 10), by(2, opening, served, 20, 30),
	}},
	{"two are served at once", porcupine.Illegal, []operation{
		by(1, opening, served, 0, 10), by(2, opening, served, 0, 10),
	}},
	{"two are served who have no claim key", porcupine.Illegal, []operation{
		strict(by(1, opening, served, 0, 10)), strict(by(1, opening, served, 20, 30)),
	}},
	{"the same claim key is served again", porcupine.Ok, []operation{
		by(1, opening, served, 0, 10), by(1, opening, served, 20, 30), by(1, resuming, served, 40, 50), by(2, opening, refused, 60, 70),
	}},
	{"the same claim key is refused later", porcupine.Illegal, []operation{
		by(1, opening, served, 0, 10), by(1, opening, refused, 20, 30),
	}},
	{"one without a claim key asks again and is refused", porcupine.Ok, []operation{
		strict(by(1, opening, served, 0, 10)), strict(by(1, opening, refused, 20, 30)),
	}},
	{"refused before anybody asked", porcupine.Illegal, []operation{
		by(1, opening, refused, 0, 10), by(2, opening, served, 20, 30),
	}},
	{"refused, and nobody was served", porcupine.Illegal, []operation{by(1, opening, refused, 0, 10)}},
	{"refused, and an unknown call won", porcupine.Ok, []operation{
		by(1, opening, unknown, 0), by(2, opening, refused, 20, 30),
	}},
	{"refused before the unknown call was made", porcupine.Illegal, []operation{
		by(2, opening, refused, 20, 30), by(1, opening, unknown, 40),
	}},
	{"the unknown call took no effect", porcupine.Ok, []operation{
		by(1, opening, unknown, 0), by(2, opening, served, 20, 30), by(3, opening, refused, 40, 50),
	}},
	{"the unknown call took effect late", porcupine.Ok, []operation{
		by(1, opening, unknown, 0), by(2, resuming, notOpened, 20, 30), by(3, opening, refused, 40, 50),
	}},
	{"the unknown call won, and its claim key is served", porcupine.Ok, []operation{
		by(1, opening, unknown, 0), by(2, opening, refused, 5, 15), by(1, opening, served, 20, 30),
	}},
	{"the unknown call won, and so did another", porcupine.Illegal, []operation{
		by(1, opening, unknown, 0), by(2, opening, served, 5, 15), by(1, resuming, served, 20, 30),
	}},
	{"the unknown call cannot have won, for its claim key is refused", porcupine.Illegal, []operation{
		by(1, opening, unknown, 0), by(1, opening, refused, 20, 30),
	}},
	{"of two unknown calls the other one won", porcupine.Ok, []operation{
		by(1, opening, unknown, 0), by(2, opening, unknown, 1), by(1, opening, refused, 20, 30),
	}},
	{"not spent by a 503", porcupine.Ok, []operation{
		by(1, opening, unspent, 0, 10), by(2, opening, served, 20, 30), by(1, opening, unspent, 40, 50),
	}},
	{"spent by a 503", porcupine.Illegal, []operation{
		by(1, opening, unspent, 0, 10), by(2, opening, refused, 20, 30),
	}},
	{"a foreign claim key resumes", porcupine.Illegal, []operation{
		by(1, opening, served, 0, 10), by(spy, resuming, served, 20, 30),
	}},
	{"a foreign claim key does not", porcupine.Ok, []operation{
		by(spy, resuming, notOpened, 0, 10), by(1, opening, served, 5, 15), by(spy, resuming, refused, 5, 30),
	}},
	{"a GET spends", porcupine.Illegal, []operation{
		by(1, resuming, served, 0, 10),
	}},
	{"found unopened after it was served", porcupine.Illegal, []operation{
		by(1, opening, served, 0, 10), by(2, resuming, notOpened, 20, 30),
	}},
	{"spent, found unopened, refused", porcupine.Illegal, []operation{
		by(1, opening, unknown, 0), by(2, opening, refused, 10, 20), by(3, resuming, notOpened, 30, 40),
	}},
}

func TestModel(t *testing.T) {
	t.Parallel()
	for _, c := range handWritten {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			history := operationsOf(c.calls)
			if got := porcupine.CheckOperationsTimeout(modelOf(nil), history, 0); got != c.want {
				t.Errorf("the model says %s, want %s", got, c.want)
			}
			if got := judge(c.calls); got != c.want {
				t.Errorf("with foresight it is %s, want %s", got, c.want)
			}
		})
	}
}

// TestForesight holds the faster model to the plain one, over histories of every kind.
func TestForesight(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	var of [2]int
	for range 8_000 {
		ops := anyHistory(random)
		history := operationsOf(ops)
		want := porcupine.CheckOperationsTimeout(modelOf(nil), history, 0)
		if got := judge(ops); got != want {
			for _, op := range ops {
				t.Log(op)
			}
			t.Fatalf("the plain model says %s, with foresight it is %s", want, got)
		}
		if want == porcupine.Ok {
			of[0]++
		} else {
			of[1]++
		}
	}
	if min(of[0], of[1]) < 800 {
		t.Errorf("%d legal and %d illegal histories: too few of one kind to say anything", of[0], of[1])
	}
}

// anyHistory is a history of a few calls, mostly of a ticket that someone did open.
func anyHistory(random *rand.Rand) []operation {
	ops := make([]operation, 1+random.IntN(7))
	spentAt, winner := random.Int64N(60), uint16(1+random.IntN(3))
	for i := range ops {
		from := random.Int64N(100)
		op := by(uint16(1+random.IntN(4)), verb(random.IntN(2)), refused, from, from+random.Int64N(40))
		op.strict = random.IntN(5) == 0
		switch {
		case op.opener == winner && !op.strict && op.answered >= spentAt:
			op.answer = served
		case op.verb == resuming && op.call < spentAt:
			op.answer = notOpened
		}
		switch random.IntN(12) { // and sometimes anything
		case 0:
			op.answer = served
		case 1:
			op.answer = unspent
		case 2, 3:
			op.answer = unknown
		case 4:
			op.answer = refused
		}
		ops[i] = op
	}
	return ops
}

// TestJudgeIsFast judges what would take an ordinary search for ever: a thousand calls,
// most of them at once, of which a hundred may have won and did not.
func TestJudgeIsFast(t *testing.T) {
	t.Parallel()
	var ops []operation
	for i := range uint16(1000) {
		at := int64(i)
		op := by(i+1, opening, refused, at, at+2000)
		switch {
		case i < 100:
			op = by(i+1, opening, unknown, at)
		case i < 200:
			op = by(i+1, resuming, notOpened, at, at+150)
		case i == 700:
			op.answer = served
		}
		ops = append(ops, op)
	}
	if got := judge(ops); got != porcupine.Ok {
		t.Errorf("got %s", got)
	}
	// And it is found among them that another was served.
	ops[900].answer = served
	if got := judge(ops); got != porcupine.Illegal {
		t.Errorf("two were served: got %s", got)
	}
}
