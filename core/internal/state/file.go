package state

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// version is that of the file format. It changes with every field that comes or goes, so that a file of this
// version has exactly these fields, and one with others is damaged.
const version = 1

// maxFile bounds what is read: a sample of ten paths of 4 KiB for each of a few destinations is far below.
const maxFile = 4 << 20

// file is the content of a file.
type file struct {
	Version int             `json:"version"`
	Name    string          `json:"name"` // of the sync block
	Sum     string          `json:"sum"`  // of Sync, byte by byte
	Sync    json.RawMessage `json:"sync"`
}

// newerError is returned for a file of a later version of filewatch.
type newerError struct{ version int }

func (e newerError) Error() string {
	return fmt.Sprintf("it is of version %d, which only a newer filewatch can read; this one reads version %d", e.version, version)
}

// encode returns the content of the file of a sync block.
func encode(name string, s Sync) ([]byte, error) {
	if err := s.valid(); err != nil {
		return nil, fmt.Errorf("encode the state of %s: %w", name, err)
	}
	inner, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("encode the state of %s: %w", name, err)
	}
	text, err := json.Marshal(file{version, name, sum(inner), inner})
	if err != nil {
		return nil, fmt.Errorf("encode the state of %s: %w", name, err)
	}
	if len(text) > maxFile {
		return nil, fmt.Errorf("encode the state of %s: %d bytes are too many", name, len(text))
	}
	return append(text, '\n'), nil
}

// decode reads the content of the file of a sync block, and refuses what encode did not write.
func decode(name string, text []byte) (s Sync, err error) {
	var head struct {
		Version int `json:"version"`
	}
	if err := json.Unmarshal(text, &head); err != nil {
		return s, fmt.Errorf("it is not JSON: %w", err)
	}
	if head.Version > version {
		return s, newerError{head.Version}
	}
	var f file
	if err := strict(text, &f); err != nil {
		return s, err
	}
	switch {
	case f.Version != version:
		return s, fmt.Errorf("there is no version %d", f.Version)
	case f.Name != name:
		return s, fmt.Errorf("it is the state of %q", f.Name)
	case f.Sum != sum(f.Sync):
		return s, errors.New("the checksum does not fit")
	}
	if err := strict(f.Sync, &s); err != nil {
		return Sync{}, err
	}
	if err := s.valid(); err != nil {
		return Sync{}, fmt.Errorf("it holds %w", err)
	}
	return s, nil
}

// strict decodes one JSON value that has no other fields than v.
func strict(text []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("there is more after its end")
	}
	return nil
}

func sum(text []byte) string {
	s := sha256.Sum256(text)
	return hex.EncodeToString(s[:])
}
