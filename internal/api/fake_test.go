package api

import (
	"context"

	"github.com/google/uuid"

	"mayfly/internal/keys"
	"mayfly/tickets"
)

type noKeys struct{}

func (noKeys) FindKey(context.Context, uuid.UUID, tickets.Hash) (keys.Key, error) {
	return keys.Key{}, keys.ErrUnknown
}

func newService() *tickets.Service { return &tickets.Service{} }
