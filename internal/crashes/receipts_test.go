package crashes

import (
	"sync"

	"mayfly/expiry"
)

// signer signs the receipts of all servers.
var signer = sync.OnceValue(func() *expiry.Signer {
	key, err := expiry.GenerateKey()
	if err != nil {
		panic(err)
	}
	s, err := expiry.NewSigner(key)
	if err != nil {
		panic(err)
	}
	return s
})
