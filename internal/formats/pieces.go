package formats

import (
	"context"
	"fmt"
	"io"
)

// pieceSize in bytes. A multiple of every block size here.
const pieceSize = 64 << 10

// inPieces calls f with the bytes of src from one offset up to another, in order. A
// piece is valid, and may be overwritten, until f returns. All pieces but the last
// have pieceSize bytes. It checks ctx before each.
func inPieces(ctx context.Context, src io.ReaderAt, from, to int64, f func(piece []byte) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	section := io.NewSectionReader(src, from, to-from)
	buf := make([]byte, min(pieceSize, to-from))
	for left := to - from; left > 0; {
		piece := buf[:min(left, pieceSize)]
		if err := readFull(section, piece); err != nil {
			return err
		}
		if err := f(piece); err != nil {
			return err
		}
		left -= int64(len(piece))
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}

// readFull fills buf. That src ends too early is the caller's error, who said how
// large it is, and not ErrCiphertext.
func readFull(src io.Reader, buf []byte) error {
	_, err := io.ReadFull(src, buf)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return fmt.Errorf("read ciphertext: %w", err)
	}
	return nil
}

func write(dst io.Writer, plaintext []byte) error {
	if _, err := dst.Write(plaintext); err != nil {
		return fmt.Errorf("write plaintext: %w", err)
	}
	return nil
}
