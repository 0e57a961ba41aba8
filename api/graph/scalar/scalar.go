// Package scalar writes and reads the API's scalars.
package scalar

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/99designs/gqlgen/graphql"

	"github.com/nixspace/nixspace"
)

// MarshalID writes an identifier, and null for an empty one.
func MarshalID(id nixspace.ID) graphql.Marshaler {
	if id == "" {
		return graphql.Null
	}
	return graphql.MarshalString(string(id))
}

// UnmarshalID reads an identifier, which must be a UUID.
func UnmarshalID(v any) (nixspace.ID, error) {
	s, ok := v.(string)
	id := nixspace.ID(s)
	if !ok || !id.Valid() {
		return "", nixspace.Errorf(nixspace.KindInvalid, "id_invalid", "%q is not the UUID of anything", fmt.Sprint(v))
	}
	return id, nil
}

// MarshalInt64 writes a number.
func MarshalInt64(n int64) graphql.Marshaler {
	return graphql.WriterFunc(func(w io.Writer) { _, _ = io.WriteString(w, strconv.FormatInt(n, 10)) })
}

// UnmarshalInt64 reads a number, or its decimal text.
func UnmarshalInt64(v any) (int64, error) { return graphql.UnmarshalInt64(v) }

// MarshalTime writes an instant in UTC, and null for the zero one.
func MarshalTime(t time.Time) graphql.Marshaler {
	if t.IsZero() {
		return graphql.Null
	}
	return graphql.MarshalString(t.UTC().Format(time.RFC3339Nano))
}

// UnmarshalTime reads an RFC 3339 instant.
func UnmarshalTime(v any) (time.Time, error) {
	s, ok := v.(string)
	if !ok {
		return time.Time{}, nixspace.Errorf(nixspace.KindInvalid, "time_invalid", "an instant must be text in the form of RFC 3339")
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return time.Time{}, nixspace.Errorf(nixspace.KindInvalid, "time_invalid", "%q is not an instant in the form of RFC 3339", s)
	}
	return t, nil
}

// MarshalJSONObject writes an object, and null for a nil one.
func MarshalJSONObject(m map[string]any) graphql.Marshaler {
	if m == nil {
		return graphql.Null
	}
	b, err := json.Marshal(m)
	if err != nil {
		return graphql.Null
	}
	return graphql.WriterFunc(func(w io.Writer) { _, _ = w.Write(b) })
}

// UnmarshalJSONObject reads an object.
func UnmarshalJSONObject(v any) (map[string]any, error) {
	m, ok := v.(map[string]any)
	if !ok {
		return nil, nixspace.Errorf(nixspace.KindInvalid, "object_invalid", "a JSON object is needed")
	}
	return m, nil
}
