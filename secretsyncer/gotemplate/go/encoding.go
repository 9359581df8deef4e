package main

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
)

func encodeBase64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

func decodeBase64(value any) (string, error) {
	s, err := text(value)
	if err != nil {
		return "", err
	}
	decoded, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		return "", failure("the string is not base64")
	}
	return string(decoded), nil
}

func sha256sum(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

func toJSON(value any) (string, error) {
	encoded, err := json.Marshal(value)
	if err != nil {
		return "", failure("the value cannot be written as JSON")
	}
	return limited(string(encoded))
}

func fromJSON(value any) (any, error) {
	s, err := text(value)
	if err != nil {
		return nil, err
	}
	decoded, err := decodeJSON(s, func(map[string]any) {})
	if err != nil {
		return nil, fail("the string %s", err)
	}
	return decoded, nil
}
