// SPDX-FileCopyrightText: Copyright Endor Labs, Inc. and the endor-gatekeeper-provider authors
// SPDX-License-Identifier: Apache-2.0

package endor

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
)

// Credentials are what tokens are had with: exactly one of a pair of files, an
// API key with its secret, and a token. However they are printed, they print
// as "[redacted]".
type Credentials struct {
	// KeyFile and SecretFile are read again at each exchange, so that rotated
	// credentials need no restart. Space around their content is dropped.
	KeyFile, SecretFile string

	Key, Secret string

	// Token is used as it is and cannot be renewed; Endor's live four hours at
	// most.
	Token string
}

const redacted = "[redacted]"

// String hides the credentials.
func (c Credentials) String() string { return redacted }

// Format hides the credentials from every verb of package fmt, %#v and %d too.
func (c Credentials) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// LogValue hides the credentials from logs.
func (c Credentials) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText hides the credentials from JSON, and from whatever a log handler
// makes of a struct that holds them.
func (c Credentials) MarshalText() ([]byte, error) { return []byte(redacted), nil }

func (c Credentials) validate() error {
	kinds := 0
	for _, pair := range [][2]string{{c.KeyFile, c.SecretFile}, {c.Key, c.Secret}} {
		switch {
		case pair[0] != "" && pair[1] != "":
			kinds++
		case pair[0] != "":
			return errors.New("credentials of Endor Labs: an API key and its secret go together, and the secret is missing")
		case pair[1] != "":
			return errors.New("credentials of Endor Labs: an API key and its secret go together, and the key is missing")
		}
	}
	if c.Token != "" {
		kinds++
	}
	switch kinds {
	case 0:
		return errors.New("credentials of Endor Labs: none are given; set an API key and its secret, as files or as variables, or a token")
	case 1:
		if c.Token != "" && !fitsHeader(c.Token) {
			return errors.New("credentials of Endor Labs: the token holds a space, a line break or another character that no token has")
		}
		_, err := c.read()
		return err
	default:
		return errors.New("credentials of Endor Labs: more than one kind is given; set files, or key and secret, or a token")
	}
}

// apiKey is the body of a token exchange.
type apiKey struct {
	Key    string `json:"key"`
	Secret string `json:"secret"`
}

func (c Credentials) read() (apiKey, error) {
	if c.KeyFile == "" {
		return apiKey{Key: c.Key, Secret: c.Secret}, nil
	}
	key, keyErr := readSecret(c.KeyFile)
	secret, secretErr := readSecret(c.SecretFile)
	return apiKey{Key: key, Secret: secret}, errors.Join(keyErr, secretErr)
}

func readSecret(file string) (string, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("credentials of Endor Labs: %w", err)
	}
	s := strings.TrimSpace(string(b))
	if s == "" {
		return "", fmt.Errorf("credentials of Endor Labs: %s is empty", file)
	}
	return s, nil
}

// fitsHeader says whether a token can be sent. net/http refuses others, with an
// error that looks like one of the network.
func fitsHeader(token string) bool {
	return !strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' })
}
