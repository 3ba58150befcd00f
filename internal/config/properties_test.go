package config

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// propertyTexts are files on which TestPropertiesEqualJava compares this parser with java.util.Properties.
var propertyTexts = []string{
	"",
	"a=b",
	"a=b\nc:d\ne f\n",
	"  a  =  b  \n\tc\t:\td\n",
	"a = = b\nc : : d\ne  = : f\n",
	"a\nb=\nc:\nd \n",
	"# comment\n! comment\n   # indented\na=#no comment\n",
	"# not continued \\\na=1\n",
	"a=1\\\n2\\\n   3\nb=4\n",
	"a=1\\\r\n  2\rb=3\r\n",
	"a=1\\\\\nb=2\\\\\\\n3\n",
	"a=1\\\n\nb=2\n",
	"a=1\\\n# data\nb=2\n",
	"a=end\\",
	"k\\=e\\:y\\ s=v\\=w\n",
	"\\#a=1\n\\!b=2\n",
	"a=\\t\\n\\r\\f\\q\\\\\\\"\n",
	"a=\\u0041\\u00e4\\u20AC\\ud83d\\ude00x\n",
	"\\u0061b=c\n",
	"a=x\\u003dy\\u000az\n",
	"a=1\na=2\n",
	"=v\n:w\n",
	"a=\tb \n",
	"a\\\n=b\n",
	"a b=c\n",
	"a=\f b\f\n",
	"sasl.jaas.config=X required \\\n  username=\"u\" \\\n  password=\"p\\\\\"q\";\n",
	"a=b\x0bc\n",
	"\n\n\r\r\n  \n\ta=1",
}

func TestPropertiesFormat(t *testing.T) {
	p, warnings, problems := parseProperties("f", []byte("a=1\n\n#x\nb:2\\\n  3\na=4\nc=\xe4\n"))
	if len(problems) > 0 || p.get("a") != "4" || p.get("b") != "23" || p.get("c") != "ä" || p.has("d") || p.line("b") != 4 {
		t.Errorf("%+v %v", p, problems)
	}
	if want := "f:6: a was already set in line 1; the last one counts"; len(warnings) != 1 || warnings[0] != want {
		t.Errorf("warnings %q, want %q", warnings, want)
	}
	for text, want := range map[string]string{
		"x=\\u00":       `f:1: a \u escape is cut off: write four hexadecimal digits behind \u`,
		"\n\nx=\\u00gh": `f:3: a \u escape is not hexadecimal: write four hexadecimal digits behind \u`,
		"x=\x00":        "f: it is not a text file: check the path",
	} {
		if _, _, problems := parseProperties("f", []byte(text)); problems.Error() != want {
			t.Errorf("got  %v\nwant %s", problems, want)
		}
	}
}

// jaasTexts are lines on which TestJAASEqualsJava compares this parser with Kafka's.
var jaasTexts = []string{
	`org.apache.kafka.common.security.plain.PlainLoginModule required username="u" password="p";`,
	`a.B required;`,
	`a.B Required x=y ;`,
	`a.B optional x='single "quotes"' y="double 'quotes'";`,
	`a.B sufficient x="a\"b\\c\nd\te" y="\101\0601";`,
	`a.B requisite x="semi;colon=equals {}" ;  `,
	"a.B required\n  x=\"1\"\n\ty=\"2\"; // comment\n",
	`a.B /* comment; */ required x="1"; /* the end */`,
	`a.B required x="//no comment";`,
	`a.B required extension_logicalCluster="lkc-1" unsecuredLoginStringClaim_sub="a";`,
	`a.B required x="ä€😀" y="";`,
	`a.B required x=word-with_$-.parts;`,
	`a.B required x = "1" y= "2" z ="3";`,
	`a.B required x="1" x="2";`,
	`a.B required x="1"`,
	`a.B x="1";`,
	`a.B required x;`,
	`a.B required x=;`,
	`a.B required ="1";`,
	`a.B required x="1"; c.D required;`,
	`KafkaClient { a.B required x="1"; };`,
	`;`,
	``,
}

func TestJAASMessagesHideTheText(t *testing.T) {
	for text, want := range map[string]string{
		`B required password="` + canary:                 `a quoted value is not closed: add the quote`,
		"B required password=\"" + canary + "\n\";":      `a quoted value runs over the end of a line: close the quote`,
		`B required password=a ` + canary + `;`:          `option 2 is not key=value: put values with special characters in quotes and end the line with a semicolon`,
		`B required password=` + canary + `=x;`:          `option 2 is not key=value`,
		`B required password="` + canary + `"`:           `it does not end with a semicolon: add ; at its end`,
		`B ` + canary + `;`:                              `the word behind the class is none of required, requisite, sufficient, optional: write required`,
		`B required x="` + canary + `"; y`:               `there is something behind the semicolon: write one login module`,
		`KafkaClient { B required x="` + canary + `";};`: `it is a whole JAAS file: write the login module's line only, without KafkaClient { }`,
		`B required /* ` + canary:                        `a comment is not closed: add */`,
		``:                                               `it does not begin with a login module's class`,
	} {
		_, err := parseJAAS(text)
		if err == nil || !strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), canary) {
			t.Errorf("%s\ngot  %v\nwant %s", text, err, want)
		}
	}
	m, err := parseJAAS(`a.b.C required n=123 p='it''s;';`)
	if err == nil {
		t.Errorf("two quoted strings in a row gave %+v", m)
	}
	m, err = parseJAAS(`a.b.C required n=123 u=ä-ö;`) // Kafka's parser trips over digits without quotes
	if d := cmp.Diff(map[string]string{"n": "123", "u": "ä-ö"}, m.options); err != nil || d != "" || m.name() != "C" {
		t.Errorf("%v %s", err, d)
	}
}
