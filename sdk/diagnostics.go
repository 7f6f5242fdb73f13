package sdk

// Diagnostics are findings about a configuration.
type Diagnostics []Diagnostic

// Diagnostic is one finding. filewatch shows it at its line of the file.
type Diagnostic struct {
	Severity Severity
	Summary  string // short and constant
	Detail   string // a full sentence: what is wrong and what to do
	Subject  Subject
	// Path leads to the attribute when Subject is SubjectConfig: names of attributes and blocks and
	// keys of maps as string, elements of lists and repeated blocks as int.
	Path []any
}

// Severity tells whether a finding refuses the configuration.
type Severity uint8

// The severities.
const (
	SeverityError Severity = iota
	SeverityWarning
)

// Subject is what a finding is about.
type Subject uint8

// The subjects.
const (
	SubjectConfig      Subject = iota // the body of the plugin's own block
	SubjectSource                     // the sync block's source
	SubjectDestination                // the sync block's destination
)

// AddAttributeError adds an error about an attribute of the plugin's own block.
func (d *Diagnostics) AddAttributeError(path []any, summary, detail string) {
	*d = append(*d, Diagnostic{Summary: summary, Detail: detail, Path: path})
}
