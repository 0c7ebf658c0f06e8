// Command proof shows that Mayfly serves a ticket once (P2), and what it costs when it
// breaks (P3):
//
//	go run ./internal/testenv go run ./internal/proof
//
// It starts real processes of mayfly over one PostgreSQL and one bucket of MinIO, makes
// tickets, and has many openers ask for each of them at the same time, over all replicas.
// Meanwhile replicas are killed with kill -9 and started again, and PostgreSQL is killed
// with all its processes and started again. Some openers give up at a random moment or as
// soon as they see the header, some ask again with the same claim key at another replica,
// some ask twice at once, some have no claim key, and spies try to resume what they did
// not open. The last opener of each ticket comes when everything is over.
//
// What every client asked and learned, and when by one monotonic clock, is the history of
// the ticket. It is judged twice: porcupine looks for an order of the calls, each at one
// moment between its beginning and its end, that a ticket which opens once allows; and the
// clients' answers are added up, without a model.
//
// What holds of every run:
//
//  1. A ticket is served if a client saw the header of a 200. Whether it then got the bytes
//     does not matter.
//  2. A call without an answer stays open in the history: it may have taken effect at any
//     moment since. So does a 503 that a crash of the database touched, see history.settle.
//     Any other 503 is held to what the API says of it: not spent. If the ticket was spent
//     by it nevertheless, nobody is served and somebody refused, and that is Illegal.
//  3. To be served again with the same claim key is the same open (design §5), and to be
//     refused with the claim key that opened is Illegal, like a refusal before the spend.
//  4. Unknown, which is what porcupine says when its time is over, is a failure. To make it
//     rare the model is told what is known of a history beforehand, see foresight. That
//     only ever forbids steps: it can make no history legal that is not.
//  5. A request that was never sent, because the replica refused the connection, is none.
//  6. A run in which the planned disasters did not happen, or broke nothing, fails: it
//     proves nothing. So does an answer that the API does not have, one with other bytes than
//     were stored, and a connection that broke although nobody killed the replica.
//
// That the proof would find a bug is proven first. Command planted is a Mayfly with one of
// three (select-then-update, count-at-the-end, answer-before-commit), and the tests fail if
// one of them is not found, or anything in the same program without one.
//
// The seed decides who asks how, and what is killed when. The order in which things happen
// then is the machine's, so that a run with the same seed is not the same run.
package main
