package client

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/google/uuid"

	"mayfly/blobstore"
	"mayfly/internal/openapi"
)

// AuditPage are some entries of a tenant's audit log, and its head. In JSON it is as in
// the API, as are the others here. Nothing of it is verified here.
type AuditPage struct {
	Entries []AuditEntry `json:"entries"`
	Head    AuditHead    `json:"head"`
}

// AuditHead is the last entry there is; its zero value, but for the tenant, if there is none.
type AuditHead struct {
	Tenant string           `json:"tenant"`
	Number int64            `json:"number"`
	Hash   blobstore.Digest `json:"hash"`
}

// AuditEntry is an act on a report.
type AuditEntry struct {
	// Number from 1 on, without a gap.
	Number int64     `json:"number"`
	At     time.Time `json:"at"`
	Act    string    `json:"act"`
	// Actor is a key's id, "reporter" or "server".
	Actor  string    `json:"actor"`
	Report uuid.UUID `json:"report_id"`
	// Subject is the blob or ticket that it is about, if there is one.
	Subject *uuid.UUID        `json:"subject,omitempty"`
	Digest  *blobstore.Digest `json:"digest,omitempty"`
	// Previous is the Hash of the entry before.
	Previous blobstore.Digest `json:"previous"`
	Hash     blobstore.Digest `json:"hash"`
}

// Audit are the entries behind the one of that number; none at the end. tenant is empty for
// the key's own. Needs a key of role ops or moderator. Fails like Announce.
func (c *Client) Audit(ctx context.Context, tenant string, after int64) (AuditPage, error) {
	var page AuditPage
	err := c.callAs(ctx, shortly, &page, func(ctx context.Context, api *openapi.Client) (*http.Response, error) {
		return api.ListAudit(ctx, &openapi.ListAuditParams{Tenant: textOrNil(tenant), After: &after}, bearer(c.Key))
	})
	if err != nil {
		return AuditPage{}, err
	}
	if page.Head.Tenant == "" || len(page.Entries) > 0 && page.Entries[len(page.Entries)-1].Number <= after {
		return AuditPage{}, fmt.Errorf("%w: no page of an audit log", ErrAnswer)
	}
	return page, nil
}
