package api

import (
	"context"
	"errors"
	"io"
	"sync"

	"github.com/google/uuid"

	"mayfly/blobstore"
	"mayfly/expiry"
	"mayfly/internal/keys"
	"mayfly/tickets"
)

type noKeys struct{}

func (noKeys) FindKey(context.Context, uuid.UUID, tickets.Hash) (keys.Key, error) {
	return keys.Key{}, keys.ErrUnknown
}

func newService() *tickets.Service { return &tickets.Service{} }

// faultyRows are stores that fail where a test wants it.
type faultyRows struct {
	tickets.Store
	expiry.PolicyStore
	mu   sync.Mutex
	rule func(method string) error
}

var (
	errRows = errors.New("dial tcp 10.1.2.3:5432: secret detail of the database")
	// errStalled as a rule's answer: the call waits until its client has left.
	errStalled = errors.New("stalled")
)

func (f *faultyRows) fail(rule func(method string) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rule = rule
}

func (f *faultyRows) ask(method string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.rule == nil {
		return nil
	}
	return f.rule(method)
}

func (f *faultyRows) Policies(ctx context.Context, tenant string) ([]expiry.StoredPolicy, error) {
	if err := f.ask("Policies"); err != nil {
		return nil, err
	}
	return f.PolicyStore.Policies(ctx, tenant)
}

func (f *faultyRows) FindTicket(ctx context.Context, id uuid.UUID, h tickets.Hash) (tickets.Ticket, tickets.Blob, error) {
	if err := f.ask("FindTicket"); err == errStalled {
		<-ctx.Done()
		return tickets.Ticket{}, tickets.Blob{}, ctx.Err()
	} else if err != nil {
		return tickets.Ticket{}, tickets.Blob{}, err
	}
	return f.Store.FindTicket(ctx, id, h)
}

func (f *faultyRows) Spend(ctx context.Context, s tickets.Spend) (bool, error) {
	if err := f.ask("Spend"); err != nil {
		return false, err
	}
	return f.Store.Spend(ctx, s)
}

func (f *faultyRows) Commit(ctx context.Context, c tickets.Commit) error {
	if err := f.ask("Commit"); err != nil {
		return err
	}
	return f.Store.Commit(ctx, c)
}

// body of a store that a test makes up.
type storeOf struct {
	blobstore.Store
	open func(key blobstore.Key, offset int64) io.ReadCloser
}

func (s storeOf) Open(ctx context.Context, key blobstore.Key, offset int64) (io.ReadCloser, blobstore.Info, error) {
	f, info, err := s.Store.Open(ctx, key, offset)
	if err != nil {
		return nil, info, err
	}
	f.Close()
	return s.open(key, offset), info, nil
}
