package sqlstore

import (
	"errors"
	"fmt"
)

// write is one caller's part of a transaction.
type write struct {
	// do may run more than once: the first time together with others, and again
	// alone if one of them failed. It sets all that it gives out on each run.
	do func(*conn) error
	// rows that it will touch, about.
	rows int
}

// refusal is the answer of a statement that did its work and found that the rows
// do not allow what was asked. Nothing was changed, so others' writes in the same
// transaction are not touched by it: else a caller who is refused again and again
// could make everybody's writes slow.
type refusal struct{ error }

func refuse(err error) error { return refusal{err} }

func (r refusal) Unwrap() error { return r.error }

// refused reports whether err is a refusal, and what it says.
func refused(err error) (error, bool) {
	var r refusal
	if errors.As(err, &r) {
		return r.error, true
	}
	return nil, false
}

// writer is the one connection that writes. It is used by one goroutine only.
type writer struct {
	open func() (*conn, error)
	c    *conn // nil: to be opened, because the last one is in doubt
}

// run does all writes in one transaction, with one sync of the disk. If one of
// them fails, the transaction is rolled back and each runs in one of its own: a
// write that cannot succeed fails alone.
func (w *writer) run(batch []write) []error {
	errs := make([]error, len(batch))
	err := w.transaction(batch, errs)
	switch {
	case err == nil:
		return errs
	case len(batch) == 1 || !errors.Is(err, errRolledBack):
		return fill(errs, err)
	}
	for i := range batch {
		err := w.transaction(batch[i:i+1], errs[i:i+1])
		if err == nil {
			continue
		}
		errs[i] = err
		if !errors.Is(err, errRolledBack) {
			// It does not lie in this write: the next would only wait out the
			// same time limit. Of those nothing was begun.
			fill(errs[i:], err)
			break
		}
	}
	return errs
}

func fill(errs []error, err error) []error {
	for i := range errs {
		errs[i] = err
	}
	return errs
}

// errRolledBack marks the error of a write whose transaction is undone.
var errRolledBack = errors.New("rolled back")

// transaction runs the batch from BEGIN to COMMIT and sets the answer of each. On
// an error nothing of it was done if that is errRolledBack or came from BEGIN; if
// it came from COMMIT, nobody knows.
func (w *writer) transaction(batch []write, answers []error) error {
	if err := w.begin(); err != nil {
		return err
	}
	for i, b := range batch {
		err := contain(b.do, w.c)
		if err != nil {
			answer, ok := refused(err)
			if !ok {
				w.rollback()
				return fmt.Errorf("%w: %w", errRolledBack, err)
			}
			err = answer
		}
		answers[i] = err
	}
	// P2: durable before anybody is answered.
	if _, err := w.c.exec("COMMIT"); err != nil {
		w.rollback()
		w.discard()
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}

func (w *writer) begin() error {
	if w.c == nil {
		c, err := w.open()
		if err != nil {
			return fmt.Errorf("open the database again: %w", err)
		}
		w.c = c
	}
	// IMMEDIATE takes the write lock now, and waits for another process here,
	// where nothing is done yet, rather than at the first write.
	if _, err := w.c.exec("BEGIN IMMEDIATE"); err != nil {
		if !errors.Is(err, ErrBusy) {
			w.discard()
		}
		return fmt.Errorf("begin: %w", err)
	}
	return nil
}

// rollback undoes the transaction. SQLite ends some by itself, and then has none
// to roll back; a connection of which that is not sure is not used again.
func (w *writer) rollback() {
	if _, err := w.c.exec("ROLLBACK"); err != nil {
		w.discard()
	}
}

func (w *writer) discard() {
	if w.c != nil {
		w.c.close() // its error would be about a connection that is given up
		w.c = nil
	}
}

func (w *writer) close() error {
	if w.c == nil {
		return nil
	}
	return w.c.close()
}

// contain makes an error of a panic: the transaction belongs to others too.
func contain(do func(*conn) error, c *conn) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("a write panicked: %v", p)
		}
	}()
	return do(c)
}
