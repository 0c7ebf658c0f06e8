package storetest

import (
	"testing"
	"time"

	"mayfly/internal/keys"
)

func testKeys(t *testing.T, open func(*testing.T) Database) {
	st := open(t)
	all, err := st.Keys(t.Context())
	check(t, err)
	if len(all) != 0 {
		t.Fatalf("a fresh database has %d keys", len(all))
	}
	var want []keys.Key
	for i, role := range []keys.Role{keys.RoleBackend, keys.RoleModerator, keys.RoleOps} {
		k := keys.Key{ID: newID(), Tenant: tenant, Role: role, Hash: newHash(), CreatedAt: start.Add(time.Duration(i) * time.Hour)}
		check(t, st.CreateKey(t.Context(), k))
		want = append(want, k)
	}
	if err := st.CreateKey(t.Context(), want[0]); err == nil {
		t.Fatal("a key was made twice")
	}
	got, err := st.FindKey(t.Context(), want[1].ID, want[1].Hash)
	check(t, err)
	same(t, "key", want[1], got)
	_, err = st.FindKey(t.Context(), want[1].ID, want[0].Hash)
	wantErr(t, err, keys.ErrUnknown)
	_, err = st.FindKey(t.Context(), newID(), want[1].Hash)
	wantErr(t, err, keys.ErrUnknown)

	want[1].RevokedAt = start.Add(day)
	check(t, st.RevokeKey(t.Context(), want[1].ID, want[1].RevokedAt))
	check(t, st.RevokeKey(t.Context(), want[1].ID, start.Add(2*day)))
	wantErr(t, st.RevokeKey(t.Context(), newID(), start), keys.ErrUnknown)
	_, err = st.FindKey(t.Context(), want[1].ID, want[1].Hash)
	wantErr(t, err, keys.ErrUnknown)
	all, err = st.Keys(t.Context())
	check(t, err)
	same(t, "keys", want, all)
}
