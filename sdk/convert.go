package sdk

import (
	"context"
	"errors"
	"strings"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/filewatch/filewatch/sdk/schema"
	"github.com/filewatch/filewatch/sdk/wire"
	"github.com/filewatch/filewatch/sdk/wire/pluginpb"
)

// text makes s fit for a proto string, which must be UTF-8: one file name in a message would
// otherwise cost the whole message.
func text(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

func changesToProto(changes []Change) []*pluginpb.Change {
	out := make([]*pluginpb.Change, len(changes))
	for i, c := range changes {
		scope := pluginpb.Scope_SCOPE_PATH
		if c.Scope == ScopeSubtree {
			scope = pluginpb.Scope_SCOPE_SUBTREE
		}
		out[i] = &pluginpb.Change{Path: []byte(c.Path), Scope: scope, Ops: uint32(c.Ops)}
		if c.From != "" {
			out[i].From = []byte(c.From)
		}
	}
	return out
}

func changesFromProto(changes []*pluginpb.Change) []Change {
	out := make([]Change, len(changes))
	for i, c := range changes {
		out[i] = Change{Path: string(c.GetPath()), Ops: Op(c.GetOps())}
		if from := string(c.GetFrom()); validPath(from) {
			out[i].From = from
		}
		// A scope that this version does not know is read as the larger one.
		if c.GetScope() != pluginpb.Scope_SCOPE_PATH {
			out[i].Scope = ScopeSubtree
		}
	}
	return out
}

func pathsToProto(paths []string) [][]byte {
	out := make([][]byte, len(paths))
	for i, p := range paths {
		out[i] = []byte(p)
	}
	return out
}

func pathsFromProto(paths [][]byte) []string {
	var out []string
	for _, p := range paths {
		out = append(out, string(p))
	}
	return out
}

func endpointToProto(e Endpoint) *pluginpb.Endpoint {
	return &pluginpb.Endpoint{Scheme: e.Scheme, User: e.User, Host: e.Host, Port: uint32(e.Port), Path: []byte(e.Path)}
}

func endpointFromProto(e *pluginpb.Endpoint) Endpoint {
	return Endpoint{Scheme: e.GetScheme(), User: e.GetUser(), Host: e.GetHost(), Port: int(e.GetPort()), Path: string(e.GetPath())}
}

// maxLarge bounds Result.Large, and Result.Deferred.
const maxLarge = 1000

// maxSample bounds Withheld.Sample on the wire.
const maxSample = 10

// progressToProto returns as many messages as the bound of their size takes.
func progressToProto(p Progress) []*pluginpb.Progress {
	last := &pluginpb.Progress{Files: p.Files, Bytes: p.Bytes, Deleted: p.Deleted, Created: p.Created, Portion: p.Portion}
	all := []*pluginpb.Progress{last}
	size := 0
	for _, d := range p.Differences {
		if size += len(d.Path) + differenceBytes; size > wire.MaxRequest {
			last = &pluginpb.Progress{Files: p.Files, Bytes: p.Bytes, Deleted: p.Deleted, Created: p.Created, Portion: p.Portion}
			all = append(all, last)
			size = len(d.Path) + differenceBytes
		}
		last.Differences = append(last.Differences, &pluginpb.Difference{Path: []byte(d.Path), Kind: differenceKinds[d.Kind]})
	}
	return all
}

// differenceBytes is what a Difference takes up on the wire beside its path, at most.
const differenceBytes = 16

var differenceKinds = map[DifferenceKind]pluginpb.Difference_Kind{
	Different: pluginpb.Difference_KIND_DIFFERENT,
	Missing:   pluginpb.Difference_KIND_MISSING,
	Extra:     pluginpb.Difference_KIND_EXTRA,
	Same:      pluginpb.Difference_KIND_SAME,
}

// progressFromProto leaves out differences whose paths are not relative to the root.
func progressFromProto(p *pluginpb.Progress) Progress {
	out := Progress{Files: p.GetFiles(), Bytes: p.GetBytes(), Deleted: p.GetDeleted(), Created: p.GetCreated(), Portion: p.GetPortion()}
	for _, d := range p.GetDifferences() {
		path := string(d.GetPath())
		if !validPath(path) {
			continue
		}
		kind := Different
		switch d.GetKind() {
		case pluginpb.Difference_KIND_MISSING:
			kind = Missing
		case pluginpb.Difference_KIND_EXTRA:
			kind = Extra
		case pluginpb.Difference_KIND_SAME:
			kind = Same
		}
		out.Differences = append(out.Differences, Difference{Path: path, Kind: kind})
	}
	return out
}

// resultToProto keeps the failed paths within the bound of a message: what does not fit fails as a
// whole, for a result must not confirm what it has no room to name.
func resultToProto(r Result) *pluginpb.Result {
	out := &pluginpb.Result{Files: r.Files, Created: r.Created, Deleted: r.Deleted, Bytes: r.Bytes, Entries: r.Entries, Large: pathsToProto(r.Large), Deferred: pathsToProto(r.Deferred)}
	if r.Withheld.Count > 0 {
		sample := r.Withheld.Sample
		out.Withheld = &pluginpb.Withheld{Count: r.Withheld.Count, Sample: pathsToProto(sample[:min(len(sample), maxSample)])}
	}
	size := 0
	for _, f := range r.Failed {
		size += len(f.Path) + len(f.Text)
		if size > wire.MaxRequest {
			out.Failed = []*pluginpb.PathError{{Text: text(f.Text)}}
			return out
		}
		out.Failed = append(out.Failed, &pluginpb.PathError{Path: []byte(f.Path), Text: text(f.Text)})
	}
	for _, left := range [][]string{r.Large, r.Deferred} {
		size = 0
		for _, p := range left {
			if size += len(p); size > wire.MaxRequest || len(left) > maxLarge {
				out.Large, out.Deferred, out.Failed = nil, nil, []*pluginpb.PathError{{Text: "the transport left out more than it may name"}}
				return out
			}
		}
	}
	return out
}

func resultFromProto(r *pluginpb.Result) Result {
	out := Result{
		Files: r.GetFiles(), Created: r.GetCreated(), Deleted: r.GetDeleted(), Bytes: r.GetBytes(), Entries: r.GetEntries(),
		Large:    pathsFromProto(r.GetLarge()),
		Deferred: pathsFromProto(r.GetDeferred()),
		Withheld: Withheld{Count: r.GetWithheld().GetCount(), Sample: pathsFromProto(r.GetWithheld().GetSample())},
	}
	for _, f := range r.GetFailed() {
		out.Failed = append(out.Failed, PathError{Path: string(f.GetPath()), Text: f.GetText()})
	}
	return out
}

func schemaToProto(s schema.Schema) *pluginpb.Schema {
	out := &pluginpb.Schema{}
	for _, a := range s.Attributes {
		out.Attributes = append(out.Attributes, &pluginpb.Attribute{
			Name: a.Name, Type: a.Type, Description: a.Description, Required: a.Required,
		})
	}
	for _, b := range s.Blocks {
		out.Blocks = append(out.Blocks, &pluginpb.Block{
			Name: b.Name, Description: b.Description, Repeated: b.Repeated, Schema: schemaToProto(b.Schema),
		})
	}
	return out
}

func schemaFromProto(s *pluginpb.Schema) schema.Schema {
	var out schema.Schema
	for _, a := range s.GetAttributes() {
		out.Attributes = append(out.Attributes, schema.Attribute{
			Name: a.GetName(), Type: a.GetType(), Description: a.GetDescription(), Required: a.GetRequired(),
		})
	}
	for _, b := range s.GetBlocks() {
		out.Blocks = append(out.Blocks, schema.Block{
			Name: b.GetName(), Description: b.GetDescription(), Repeated: b.GetRepeated(), Schema: schemaFromProto(b.GetSchema()),
		})
	}
	return out
}

func diagnosticsToProto(diags Diagnostics) []*pluginpb.Diagnostic {
	var out []*pluginpb.Diagnostic
	for _, d := range diags {
		p := &pluginpb.Diagnostic{
			Severity: pluginpb.Severity_SEVERITY_ERROR,
			Summary:  text(d.Summary),
			Detail:   text(d.Detail),
			Subject:  pluginpb.Subject(d.Subject) + pluginpb.Subject_SUBJECT_CONFIG,
		}
		if d.Severity == SeverityWarning {
			p.Severity = pluginpb.Severity_SEVERITY_WARNING
		}
		for _, step := range d.Path {
			switch step := step.(type) {
			case string:
				p.Path = append(p.Path, &pluginpb.Step{Step: &pluginpb.Step_Name{Name: text(step)}})
			case int:
				p.Path = append(p.Path, &pluginpb.Step{Step: &pluginpb.Step_Index{Index: int64(step)}})
			}
		}
		out = append(out, p)
	}
	return out
}

func diagnosticsFromProto(diags []*pluginpb.Diagnostic) Diagnostics {
	var out Diagnostics
	for _, p := range diags {
		d := Diagnostic{Summary: p.GetSummary(), Detail: p.GetDetail()}
		if p.GetSeverity() == pluginpb.Severity_SEVERITY_WARNING {
			d.Severity = SeverityWarning
		}
		switch p.GetSubject() {
		case pluginpb.Subject_SUBJECT_SOURCE:
			d.Subject = SubjectSource
		case pluginpb.Subject_SUBJECT_DESTINATION:
			d.Subject = SubjectDestination
		}
		for _, step := range p.GetPath() {
			switch step := step.GetStep().(type) {
			case *pluginpb.Step_Name:
				d.Path = append(d.Path, step.Name)
			case *pluginpb.Step_Index:
				d.Path = append(d.Path, int(step.Index))
			}
		}
		out = append(out, d)
	}
	return out
}

// toStatus is the error of a Watcher or Transport as it travels.
func toStatus(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	code := codes.Unknown
	switch {
	case classOf(err) == classUnavailable:
		code = codes.Unavailable
	case classOf(err) == classMisconfigured:
		code = codes.FailedPrecondition
	case classOf(err) == classRootLost:
		code = codes.NotFound
	case ctx.Err() != nil:
		code = codes.Canceled
	}
	return status.Error(code, text(err.Error()))
}

// fromStatus turns what a call returned into the error that the plugin meant. A connection that broke
// reads as Unavailable.
func fromStatus(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	s := status.Convert(err)
	plain := errors.New(s.Message())
	switch s.Code() {
	case codes.Unavailable:
		return Unavailable(plain)
	case codes.FailedPrecondition, codes.Unimplemented:
		return Misconfigured(plain)
	case codes.NotFound:
		return RootLost(plain)
	}
	return plain
}
