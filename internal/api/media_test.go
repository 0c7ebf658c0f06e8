package api

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"time"

	"mayfly/internal/openapi"
)

// erased is a report of a blob that a purge had taken before: it waits for its reporter.
func (w *world) erased(media []byte) openapi.CreatedReport {
	w.Helper()
	blob, tokens := w.store(media, "")
	w.want(204, "DELETE /v1/blobs/"+blob, w.key)
	w.purge()
	r := w.file(tokens[0], w.filing(blob, media))
	if left := time.Until(*r.MediaUntil).Round(time.Hour); r.State != "awaiting_media" || left != 90*24*time.Hour {
		w.Fatalf("%+v", r)
	}
	return r
}

// P6: when our copy is gone the reporter brings the bytes, and no others are taken.
func TestMediaOfTheReporter(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice := w.moderator()
	media := content(200_000)
	r := w.erased(media)
	put := "PUT " + path(r, "/media")
	w.copyDue(0)
	w.wantActs(r.ID, "filed", "awaiting_media")
	w.unchanged("a report without media", func() {
		w.refused(409, "no_evidence", "POST "+path(r, "/tickets"), alice)
		w.refused(409, "no_evidence", "PUT "+path(r, "/hold"), alice, holding("legal", w.now().Add(400*24*time.Hour)))
		w.refused(409, "not_open", "POST "+path(r, "/claim"), alice)
	})
	if view := w.see(r, r.Token); view.State != "awaiting_media" || !view.MediaUntil.Equal(*r.MediaUntil) {
		t.Errorf("%+v", view)
	}

	flipped := func(at int) []byte {
		b := bytes.Clone(media)
		b[at] ^= 1
		return b
	}
	w.unchanged("bytes that nobody sent", func() {
		for name, c := range map[string]struct {
			status int
			code   openapi.ProblemCode
			with   with
		}{
			"first byte":     {422, "digest_mismatch", bytesBody(flipped(0))},
			"last byte":      {422, "digest_mismatch", bytesBody(flipped(len(media) - 1))},
			"short":          {422, "size_mismatch", bytesBody(media[:len(media)-1])},
			"long":           {422, "size_mismatch", bytesBody(append(bytes.Clone(media), 0))},
			"empty":          {422, "size_mismatch", sending(mediaBytes, strings.NewReader(""), 0)},
			"too large":      {422, "size_mismatch", sending(mediaBytes, repeat(0), 3<<30)},
			"without length": {411, "length_required", sending(mediaBytes, bytes.NewReader(media), -1)},
			"JSON":           {415, "unsupported_media_type", jsonBody(`{}`)},
		} {
			if name == "empty" {
				// net/http of the client leaves the header out: by hand.
				conn, answers := w.dial()
				io.WriteString(conn, "PUT "+path(r, "/media")+" HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "+r.Token+"\r\nContent-Length: 0\r\n\r\n")
				if line, err := answers.ReadString('\n'); err != nil || !strings.HasPrefix(line, "HTTP/1.1 422 ") {
					t.Errorf("empty: %q, %v", line, err)
				}
				continue
			}
			w.refused(c.status, c.code, put, r.Token, c.with)
		}
		// Who breaks off has brought nothing.
		broken, end := io.Pipe()
		go func() { end.Write(media[:1000]); end.CloseWithError(io.ErrClosedPipe) }()
		if resp, err := w.client.Do(w.request(put, r.Token, sending(mediaBytes, broken, int64(len(media))))); err == nil {
			resp.Body.Close()
			t.Errorf("%d for a broken body", resp.StatusCode)
		}
		w.log.await("code", "client_gone")
	})
	if n := len(w.evidenceKeys()); n != 0 {
		t.Errorf("%d copies of what was refused", n)
	}

	_, b := w.want(200, put, r.Token, bytesBody(media))
	if view := decode[openapi.Report](w, b); view.State != "open" || view.MediaUntil != nil || view.EvidenceExpiresAt == nil {
		t.Errorf("%s", b)
	}
	w.wantActs(r.ID, "filed", "awaiting_media", "media_received")
	w.unchanged("media twice", func() { w.refused(409, "media_not_awaited", put, r.Token, bytesBody(media)) })
	w.claim(r, alice)
	if _, got := w.want(200, "POST /v1/download", w.pull(r, alice).Token); !bytes.Equal(got, media) {
		t.Error("other bytes than the sender's")
	}
}

// Bytes come too late when nobody remembers what to hold them against, and are not wanted
// where we have our own.
func TestMediaNotWanted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	media := content(100)
	blob, tokens := w.store(media, "")
	copying := w.file(tokens[0], w.filing(blob, media))
	w.unchanged("a report that copies", func() {
		w.refused(409, "media_not_awaited", "PUT "+path(copying, "/media"), copying.Token, bytesBody(media))
	})
	w.copyDue(1)
	w.unchanged("a report with its bytes", func() {
		w.refused(409, "media_not_awaited", "PUT "+path(copying, "/media"), copying.Token, bytesBody(media))
	})

	withdrawn := w.erased(media)
	w.want(204, "DELETE "+path(withdrawn, ""), withdrawn.Token)
	late := w.erased(media)
	w.unchanged("withdrawn", func() {
		w.refused(410, "withdrawn", "PUT "+path(withdrawn, "/media"), withdrawn.Token, bytesBody(media))
	})
	w.advance(90*24*time.Hour + time.Minute)
	w.unchanged("too late", func() {
		w.refused(410, "forgotten", "PUT "+path(late, "/media"), late.Token, bytesBody(media))
	})
	w.purge()
	if view := w.see(late, late.Token); view.State != "lapsed" {
		t.Errorf("%+v", view)
	}
	w.unchanged("lapsed", func() {
		w.refused(410, "forgotten", "PUT "+path(late, "/media"), late.Token, bytesBody(media))
	})
}

// Withdrawn is withdrawn: the copy, the key and the comment go, and no ticket opens.
func TestWithdraw(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice := w.moderator()
	r := w.reported(content(1000))
	w.claim(r, alice)
	unopened, opened := w.pull(r, alice), w.pull(r, alice)
	claim := header("Claim-Key", claimKey())
	w.want(200, "POST /v1/download", opened.Token, claim)

	w.want(204, "DELETE "+path(r, ""), r.Token)
	w.wantActs(r.ID, "filed", "copied", "claimed", "ticket_issued", "ticket_issued", "opened", "withdrawn")
	if dump := strings.Join(w.everything(), "\n"); strings.Contains(dump, reportersComment) || strings.Contains(dump, "AGE ENCRYPTED") {
		t.Error("the comment or the sealed key is kept")
	}
	w.unchanged("a withdrawn report", func() {
		w.want(204, "DELETE "+path(r, ""), r.Token)
		w.refused(410, "revoked", "POST /v1/download", unopened.Token)
		w.want(410, "GET /v1/download", opened.Token, claim)
		w.refused(410, "withdrawn", "PUT "+path(r, "/media"), r.Token, bytesBody(content(1000)))
		w.refused(410, "withdrawn", "POST "+path(r, "/tickets"), alice)
		w.refused(410, "withdrawn", "PUT "+path(r, "/hold"), alice, holding("legal", w.now().Add(400*24*time.Hour)))
		w.refused(409, "not_open", "POST "+path(r, "/claim"), alice)
		w.refused(409, "not_open", "POST "+path(r, "/decision"), alice, jsonBody(`{"outcome":"upheld"}`))
		w.refused(409, "not_decided", "POST "+path(r, "/reopen"), alice)
	})
	for _, token := range []string{r.Token, alice} {
		view := w.see(r, token)
		if view.State != "withdrawn" || view.WithdrawnAt == nil || view.Comment != nil || view.ErasedAt != nil {
			t.Errorf("%+v", view)
		}
	}
	w.purge()
	if n := len(w.evidenceKeys()); n != 0 || w.see(r, r.Token).ErasedAt == nil {
		t.Errorf("%d copies after the purge", n)
	}
	w.want(204, "DELETE "+path(r, ""), r.Token)
	w.wantActs(r.ID, "filed", "copied", "claimed", "ticket_issued", "ticket_issued", "opened", "withdrawn", "erased")

	// Before anything was copied nothing is.
	media := content(100)
	blob, tokens := w.store(media, "")
	early := w.file(tokens[0], w.filing(blob, media))
	w.want(204, "DELETE "+path(early, ""), early.Token)
	w.copyDue(0)
	w.purge()
	if n := len(w.evidenceKeys()); n != 0 {
		t.Errorf("%d copies", n)
	}
	if _, got := w.want(200, "POST /v1/download", tokens[0]); !bytes.Equal(got, media) {
		t.Error("the withdrawal took the sender's bytes")
	}
}
