package tree

import "strings"

// HostileNames returns file names that programs get wrong: each is a valid name on Linux, and no two
// are equal. Systems that refuse some of them or hold some for equal are out of scope.
func HostileNames() []string {
	return []string{
		"new\nline", "trailing newline\n", "\n", "tab\tin", "carriage\rreturn", "\x1b[31mred", "\x01", "del\x7f",
		"-", "--", "-rf", "--delete", "#hash", ";semicolon", "~", "~root", "!bang", "+ plus", "- minus", ": merge",
		`"`, `'`, `do"uble`, `sin'gle`, "`x`", "$HOME", "$(touch x)", "a|b", "a&b", "a<b>c",
		"*", "?", "**", "[a]", "a]b", "[", "[!a]", "{a,b}",
		`\`, `back\slash`, `trailing\`, `\#012`, `\#134`, `a\#012b`, `\n`, `\*`,
		" ", " leading", "trailing ", "  ", "two  spaces",
		"...", "..a", ".hidden", ".-", "a.", "%", "%i|%l", "%s%n", "%2F", "a:b", "host:path", "C:", "a,b", "a=b", "@at", "::",
		"\xff", "\xfe\xffbin", "latin\xe9", "cut\xc3", "\xed\xa0\x80",
		"caf\u00e9", "cafe\u0301", "日本語", "\u202egnp.exe", "\ufeffbom", "zero\u200bwidth", "\u2028",
		".~tmp~", "a~", ".a.swp", "CON", "null",
		strings.Repeat("n", 255), strings.Repeat("é", 127) + "x", strings.Repeat("\\", 255), strings.Repeat("*", 254) + "\n",
	}
}
