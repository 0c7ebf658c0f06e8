package faultproxy

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strconv"
)

var (
	// errMiddle ends a copy that was to stop in the middle.
	errMiddle  = errors.New("the middle of the body")
	errFraming = errors.New("a body with broken chunks")
)

// body is a body on the wire, framed as its head says.
type body struct {
	in *bufio.Reader
	// length is -1 if the head told none.
	length  int64
	chunked bool
	// awsChunked tells that the payload is framed a second time, by S3's own chunks.
	awsChunked bool
}

func (b body) empty() bool    { return b.length == 0 && !b.chunked }
func (b body) untilEOF() bool { return b.length < 0 && !b.chunked }

// middle is what happens in the middle of a body. The zero value is nothing.
type middle struct {
	// hit is called when the copy is there, nil for nothing.
	hit func()
	// flip flips a bit of the byte there; else the copy stops before it.
	flip bool

	pos int64
	at  int64 // known once it is set
	set bool
}

// copy writes the body to w as it comes, framing and trailers included. Its end too
// soon is io.ErrUnexpectedEOF.
func (b body) copy(w io.Writer, m middle) error {
	var err error
	switch {
	case b.chunked:
		err = b.copyChunks(w, &m)
	case b.untilEOF():
		// There is no telling where the middle is: it is that of what comes first.
		if _, err := b.in.Peek(1); errors.Is(err, io.EOF) {
			return nil
		}
		if err = b.copySpan(w, int64(b.in.Buffered()), &m); err == nil {
			_, err = io.Copy(w, b.in)
		}
	default:
		err = b.copySpan(w, b.length, &m)
	}
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return err
}

// copyChunks copies the chunks, the sizes in front of them with their extensions,
// and the trailers behind them.
func (b body) copyChunks(w io.Writer, m *middle) error {
	for {
		size, err := b.copySizeLine(w)
		if err != nil {
			return err
		}
		if size == 0 {
			break
		}
		if err := b.copySpan(w, size, m); err != nil {
			return err
		}
		// A chunk ends with a line break of its own.
		if line, err := b.copyLine(w); err != nil {
			return err
		} else if len(bytes.TrimSpace(line)) > 0 {
			return errFraming
		}
	}
	for {
		if line, err := b.copyLine(w); err != nil || len(bytes.TrimSpace(line)) == 0 {
			return err
		}
	}
}

// copySpan copies n bytes of payload, and does what m says if the middle is among
// them.
func (b body) copySpan(w io.Writer, n int64, m *middle) error {
	if m.hit != nil && !m.set && n > 0 {
		m.at, m.set = n/2, true
		// A flipped byte must be of the object: the frames around it, and the
		// trailer, can be longer than it is.
		if m.flip && b.awsChunked {
			line, size, err := b.sizeLine()
			if err != nil {
				return err
			}
			if _, err := w.Write(line); err != nil {
				return err
			}
			n -= int64(len(line))
			m.pos = int64(len(line))
			m.at = m.pos + size/2
			if size == 0 {
				m.hit = nil
			}
			if n < 0 {
				return errFraming
			}
		}
	}
	if m.hit == nil || m.at >= m.pos+n || n <= 0 {
		m.pos += n
		_, err := io.CopyN(w, b.in, n)
		return err
	}

	if _, err := io.CopyN(w, b.in, m.at-m.pos); err != nil {
		return err
	}
	n -= m.at - m.pos
	m.pos = m.at
	if !m.flip {
		m.hit()
		return errMiddle
	}
	c, err := b.in.ReadByte()
	if err != nil {
		return err
	}
	m.hit()
	m.hit = nil
	if _, err := w.Write([]byte{c ^ 1}); err != nil {
		return err
	}
	_, err = io.CopyN(w, b.in, n-1)
	return err
}

func (b body) copySizeLine(w io.Writer) (int64, error) {
	line, size, err := b.sizeLine()
	if err != nil {
		return 0, err
	}
	_, err = w.Write(line)
	return size, err
}

// sizeLine reads the line in front of a chunk, HTTP's or S3's: the size in hex, and
// extensions after a semicolon. The line is good until the next read.
func (b body) sizeLine() (line []byte, size int64, err error) {
	line, err = b.in.ReadSlice('\n')
	if err != nil {
		return nil, 0, err
	}
	hex, _, _ := bytes.Cut(line, []byte(";"))
	size, err = strconv.ParseInt(string(bytes.TrimSpace(hex)), 16, 64)
	if err != nil || size < 0 {
		return nil, 0, errFraming
	}
	return line, size, nil
}

func (b body) copyLine(w io.Writer) ([]byte, error) {
	line, err := b.in.ReadSlice('\n')
	if err != nil {
		return nil, err
	}
	_, err = w.Write(line)
	return line, err
}
