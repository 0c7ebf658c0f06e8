package sqlstore

import (
	"context"

	"github.com/google/uuid"

	"mayfly/tickets"
)

// adding is one caller's Begin or Create.
type adding struct {
	newBlob
	added bool
}

// addBlobs inserts blobs with their tickets. A blob whose bytes lie under the key of an
// attempt comes to be only with the end of that attempt, as takeAttempt has it.
const addBlobs = `WITH i AS (
		SELECT * FROM unnest(CAST($1 AS BIGINT[]), CAST($2 AS BIGINT[]), CAST($3 AS UUID[]), CAST($4 AS TEXT[]), CAST($5 AS TEXT[]),
			CAST($6 AS TEXT[]), CAST($7 AS BIGINT[]), CAST($8 AS BIGINT[]), CAST($9 AS BIGINT[]), CAST($10 AS BIGINT[]),
			CAST($11 AS BIGINT[]), CAST($12 AS BIGINT[]), CAST($13 AS BIGINT[]), CAST($14 AS BIGINT[]), CAST($15 AS BIGINT[]),
			CAST($16 AS BYTEA[]), CAST($17 AS BIGINT[]), CAST($18 AS BYTEA[]), CAST($19 AS BYTEA[]), CAST($20 AS TEXT[]), CAST($21 AS TEXT[]), CAST($22 AS TEXT[]),
			CAST($23 AS BIGINT[]), CAST($24 AS BIGINT[]), CAST($25 AS BIGINT[]), CAST($26 AS BIGINT[]), CAST($27 AS BIGINT[]), CAST($28 AS BIGINT[]),
			CAST($29 AS BIGINT[]), CAST($30 AS TEXT[]), CAST($31 AS BYTEA[]))
			AS i(n, from_attempt, id, tenant, state,
				policy, unlimited, shared_ticket, unopened_ttl, report_window,
				resume_window, upload_ttl, tombstone_ttl, max_size, keep,
				grant_hash, size, announced, sha256, key, key_commitment, context,
				ready, created_at, upload_until, stored_at, expires_at, purge_at, look_at, stamp, checksum)
	), taken AS (
		DELETE FROM attempts a USING i
		WHERE i.from_attempt = 1 AND a.blob_id = i.id AND a.key = i.key AND a.retry_at IS NULL
		RETURNING a.blob_id
	), added AS (
		INSERT INTO blobs (id, tenant, state,
			policy, unlimited, shared_ticket, unopened_ttl, report_window,
			resume_window, upload_ttl, tombstone_ttl, max_size, keep,
			grant_hash, size, announced, sha256, key, key_commitment, context,
			ready, created_at, upload_until, stored_at, expires_at, purge_at, look_at, stamp, checksum)
		SELECT id, tenant, state,
			policy, unlimited, shared_ticket, unopened_ttl, report_window,
			resume_window, upload_ttl, tombstone_ttl, max_size, keep,
			grant_hash, size, announced, sha256, key, key_commitment, context,
			ready, created_at, upload_until, stored_at, expires_at, purge_at, look_at, stamp, checksum
		FROM i WHERE from_attempt = 0 OR id IN (SELECT blob_id FROM taken)
		RETURNING id
	), issued AS (
		INSERT INTO tickets (id, blob_id, token_hash, recipient, state, created_at)
		SELECT t.id, t.blob_id, t.hash, t.recipient, 'ready', t.created_at
		FROM unnest(CAST($32 AS UUID[]), CAST($33 AS UUID[]), CAST($34 AS BYTEA[]), CAST($35 AS TEXT[]), CAST($36 AS BIGINT[]))
			AS t(id, blob_id, hash, recipient, created_at)
		JOIN added ON added.id = t.blob_id
	)
	SELECT i.n FROM i JOIN added ON added.id = i.id`

func (s *postgresDatabase) addBlob(ctx context.Context, b newBlob) error {
	a := &adding{newBlob: b}
	err := s.newBlobs.do(ctx, a)
	if err == nil && !a.added {
		err = tickets.ErrTooLate
	}
	return err
}

func (s *postgresDatabase) addAll(batch []*adding) []error {
	var c blobArrays
	var t ticketArrays
	for i, a := range batch {
		c.add(int64(i), a.newBlob)
		for _, ticket := range a.tickets {
			t.add(ticket, a.ID)
		}
	}
	added, err := together(s.writes, false, addBlobs, append(c.arguments(), t.arguments()...), (*row).int)
	if err != nil {
		return alone(batch, err, s.addAll)
	}
	for _, i := range added {
		batch[i].added = true
	}
	return make([]error, len(batch))
}

// blobArrays are the columns of addBlobs' blobs, in its order but for their types.
type blobArrays struct {
	id                                            ids
	tenant, state, policy, key, commitment, about texts
	grant, announced, sha256                      hashes
	n, fromAttempt, unlimited, shared             places
	unopened, report, resume, upload, tombstone   places
	maxSize, keep, size, ready, created, until    places
	stored, expires                               ints
	purge, look                                   places
	stamp                                         texts
	checksum                                      hashes
}

func (c *blobArrays) add(n int64, b newBlob) {
	t, state, policy := b.Terms, string(b.State), b.Terms.Policy
	c.n, c.fromAttempt = append(c.n, n), append(c.fromAttempt, flag(b.fromAttempt))
	c.id, c.tenant, c.state = append(c.id, b.ID), append(c.tenant, &b.Tenant), append(c.state, &state)
	c.policy, c.unlimited, c.shared = append(c.policy, &policy), append(c.unlimited, flag(t.Unlimited)), append(c.shared, flag(t.SharedTicket))
	c.unopened, c.report = append(c.unopened, duration(t.UnopenedTTL)), append(c.report, duration(t.ReportWindow))
	c.resume, c.upload = append(c.resume, duration(t.ResumeWindow)), append(c.upload, duration(t.UploadTTL))
	c.tombstone, c.maxSize, c.keep = append(c.tombstone, duration(t.TombstoneTTL)), append(c.maxSize, t.MaxSize), append(c.keep, duration(t.Keep()))
	c.grant, c.size = append(c.grant, bytesOrNil(hashOrNull(b.grant))), append(c.size, b.Size)
	c.announced, c.sha256 = append(c.announced, bytesOrNil(digestOrNull(b.Announced))), append(c.sha256, bytesOrNil(digestOrNull(b.SHA256)))
	c.key, c.commitment, c.about = append(c.key, textOrNil(keyOrNull(b.Key))), append(c.commitment, &b.KeyCommitment), append(c.about, &b.Context)
	c.ready, c.created, c.until = append(c.ready, int64(len(b.tickets))), append(c.created, micros(b.CreatedAt)), append(c.until, micros(b.UploadUntil))
	c.stored, c.expires = append(c.stored, intOrNil(microsOrNull(b.StoredAt))), append(c.expires, intOrNil(microsOrNull(b.ExpiresAt)))
	c.purge, c.look = append(c.purge, micros(b.PurgeAt)), append(c.look, lookAt(b.Blob))
	c.stamp, c.checksum = append(c.stamp, textOrNil(textOrNull(b.Stamp))), append(c.checksum, b.Checksum.Reveal())
}

func (c *blobArrays) arguments() []any {
	return []any{c.n, c.fromAttempt, c.id, c.tenant, c.state,
		c.policy, c.unlimited, c.shared, c.unopened, c.report,
		c.resume, c.upload, c.tombstone, c.maxSize, c.keep,
		c.grant, c.size, c.announced, c.sha256, c.key, c.commitment, c.about,
		c.ready, c.created, c.until, c.stored, c.expires, c.purge, c.look, c.stamp, c.checksum}
}

// ticketArrays are the columns of addBlobs' tickets.
type ticketArrays struct {
	id, blob  ids
	hash      hashes
	recipient texts
	created   places
}

func (c *ticketArrays) add(t tickets.Ticket, blob uuid.UUID) {
	c.id, c.blob, c.hash = append(c.id, t.ID), append(c.blob, blob), append(c.hash, t.Hash[:])
	c.recipient, c.created = append(c.recipient, &t.Recipient), append(c.created, micros(t.CreatedAt))
}

func (c *ticketArrays) arguments() []any { return []any{c.id, c.blob, c.hash, c.recipient, c.created} }

// bytesOrNil, textOrNil and intOrNil are an element of an array that may be NULL.
func bytesOrNil(v any) []byte {
	b, _ := v.([]byte)
	return b
}

func textOrNil(v any) *string {
	if s, ok := v.(string); ok {
		return &s
	}
	return nil
}

func intOrNil(v any) *int64 {
	if n, ok := v.(int64); ok {
		return &n
	}
	return nil
}
