package formats

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"fmt"
	"io"
)

// cbc is an AES-CBC ciphertext with PKCS#7 padding: the bytes of src from one offset
// up to another. Its MAC has been verified before anything here is called: without
// that, the answer to a wrong padding would be an oracle.
type cbc struct {
	src      io.ReaderAt
	from, to int64
	key, iv  []byte
}

// checkBlocks fails with ErrCiphertext if the length is none that CBC makes. Even an
// empty plaintext has a block of padding.
func (c cbc) checkBlocks() error {
	if n := c.to - c.from; n < aes.BlockSize || n%aes.BlockSize != 0 {
		return fmt.Errorf("%w: cut off, or not whole blocks", ErrCiphertext)
	}
	return nil
}

// plaintextSize reads the padding, strictly (RFC 5652 section 6.3): 1 to 16 bytes,
// all of that value.
func (c cbc) plaintextSize() (int64, error) {
	block, err := aes.NewCipher(c.key)
	if err != nil {
		return 0, err
	}
	// The block before the last is the last one's IV.
	iv, last := bytes.Clone(c.iv), make([]byte, aes.BlockSize)
	if c.to-c.from > aes.BlockSize {
		if err := readFull(io.NewSectionReader(c.src, c.to-2*aes.BlockSize, aes.BlockSize), iv); err != nil {
			return 0, err
		}
	}
	if err := readFull(io.NewSectionReader(c.src, c.to-aes.BlockSize, aes.BlockSize), last); err != nil {
		return 0, err
	}
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(last, last)
	n := int(last[aes.BlockSize-1])
	if n < 1 || n > aes.BlockSize || !bytes.Equal(last[aes.BlockSize-n:], bytes.Repeat([]byte{byte(n)}, n)) {
		return 0, fmt.Errorf("%w: wrong padding", ErrCiphertext)
	}
	return c.to - c.from - int64(n), nil
}

// decrypt writes the first size bytes of the plaintext, size being at most
// plaintextSize.
func (c cbc) decrypt(ctx context.Context, dst io.Writer, size int64) error {
	block, err := aes.NewCipher(c.key)
	if err != nil {
		return err
	}
	mode := cipher.NewCBCDecrypter(block, c.iv)
	// Up to the block that has the last byte; the rest is padding.
	to := c.from + (size+aes.BlockSize-1)/aes.BlockSize*aes.BlockSize
	return inPieces(ctx, c.src, c.from, to, func(piece []byte) error {
		mode.CryptBlocks(piece, piece)
		piece = piece[:min(size, int64(len(piece)))]
		size -= int64(len(piece))
		return write(dst, piece)
	})
}
