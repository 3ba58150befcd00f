package config

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/kferry/kferry/internal/kafka"
)

const (
	// maxSecretBytes bounds a secret; tokens are the largest, a few kilobytes.
	maxSecretBytes = 64 << 10
	// secretCommandTimeout bounds a command that prints a secret.
	secretCommandTimeout = 30 * time.Second
)

// SecretRef says where a secret is. Exactly one field is set. A line break at the end of what is read there
// does not belong to the secret.
type SecretRef struct {
	// Name of an environment variable.
	Env string `yaml:"env"`
	// Path of a file, relative to this file; read again when connections are opened.
	File string `yaml:"file"`
	// A program with its arguments, run without a shell, that prints the secret; run again when connections are opened.
	Exec []string `yaml:"exec"`

	dir string
}

// String names the place, never the secret.
func (r SecretRef) String() string {
	switch {
	case r.Env != "":
		return "environment variable " + r.Env
	case r.File != "":
		return "file " + r.path()
	case len(r.Exec) > 0:
		return "command " + r.Exec[0]
	}
	return "nothing"
}

// changes says whether the place may hold another secret later. The environment of a process stays.
func (r *SecretRef) changes() bool { return r != nil && (r.File != "" || len(r.Exec) > 0) }

func (r SecretRef) path() string { return resolvePath(r.dir, r.File) }

// resolvePath makes a path of the user absolute or relative to the file it stands in.
func resolvePath(dir, path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}

// Resolve reads the secret now. The error names the place and the cause, never what was read.
func (r *SecretRef) Resolve(ctx context.Context) (kafka.Secret, error) {
	var (
		raw []byte
		err error
	)
	switch {
	case r == nil:
		return kafka.Secret{}, nil
	case r.Env != "":
		v, ok := os.LookupEnv(r.Env)
		if !ok {
			return kafka.Secret{}, fmt.Errorf("read secret from %s: it is not set: export it before starting kferry", r)
		}
		raw = []byte(v)
	case r.File != "":
		raw, err = readSecretFile(r.path())
	case len(r.Exec) > 0:
		raw, err = runSecretCommand(ctx, r.Exec, r.dir)
	default:
		err = errors.New("no place given")
	}
	if err != nil {
		return kafka.Secret{}, fmt.Errorf("read secret from %s: %w", r, err)
	}
	raw = bytes.TrimSuffix(bytes.TrimSuffix(raw, []byte("\n")), []byte("\r"))
	switch {
	case len(raw) == 0:
		return kafka.Secret{}, fmt.Errorf("read secret from %s: it is empty", r)
	case !utf8.Valid(raw) || bytes.IndexByte(raw, 0) >= 0:
		return kafka.Secret{}, fmt.Errorf("read secret from %s: it is not UTF-8 text", r)
	}
	return kafka.NewSecret(string(raw)), nil
}

func readSecretFile(path string) ([]byte, error) { return readLimited(path, maxSecretBytes) }

// readLimited reads a file, which may be a pipe, of at most limit bytes. Its errors do not name the path.
func readLimited(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, bareError(err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, bareError(err)
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("it is larger than %d bytes", limit)
	}
	return data, nil
}

// bareError strips operation and path from a file error; the caller names the path itself.
func bareError(err error) error {
	if pe, ok := errors.AsType[*os.PathError](err); ok {
		return pe.Err
	}
	return err
}

// runSecretCommand runs without a shell. What the command writes to standard error is dropped: it may repeat
// what it was given.
func runSecretCommand(ctx context.Context, argv []string, dir string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, secretCommandTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	if strings.ContainsRune(argv[0], filepath.Separator) {
		cmd.Path = resolvePath(dir, argv[0])
	}
	cmd.WaitDelay = time.Second
	var out limitedBuffer
	cmd.Stdout = &out
	err := cmd.Run()
	switch {
	case ctx.Err() != nil:
		return nil, fmt.Errorf("it did not end within %s", secretCommandTimeout)
	case out.full:
		return nil, fmt.Errorf("it printed more than %d bytes", maxSecretBytes)
	case err != nil:
		return nil, fmt.Errorf("%w: run it by hand to see why", bareExecError(err))
	}
	return out.kept.Bytes(), nil
}

func bareExecError(err error) error {
	if ee, ok := errors.AsType[*exec.Error](err); ok {
		return ee.Err
	}
	return bareError(err)
}

// limitedBuffer keeps the first maxSecretBytes and notes that there was more.
type limitedBuffer struct {
	kept bytes.Buffer
	full bool
}

// Write implements io.Writer; it takes everything, so that the command is not stopped by a closed pipe.
func (b *limitedBuffer) Write(p []byte) (int, error) {
	if b.kept.Len()+len(p) > maxSecretBytes {
		b.full = true
		return len(p), nil
	}
	return b.kept.Write(p)
}
