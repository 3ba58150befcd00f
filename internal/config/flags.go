package config

import (
	"path/filepath"
	"reflect"
	"strings"
)

// flagNames tells which flag stands behind a path, for messages about a migration made of flags.
var flagNames = []struct{ prefix, flag string }{
	{"spec.clusters[0].bootstrapServers", "--source-bootstrap-server"},
	{"spec.clusters[1].bootstrapServers", "--target-bootstrap-server"},
	{"spec.clusters[0].properties", "--source-command-config"},
	{"spec.clusters[1].properties", "--target-command-config"},
	{"spec.flows[0].topics", "--topics"},
	{"spec.flows[0].shifted", "--shifted-topics"},
	{"spec.flows[0].target", "--target-bootstrap-server"},
}

// FromFlags makes the migration of a first try without a file: one flow named "source-target" between
// clusters "source" and "target". source and target are comma separated host:port lists; they may be empty
// where the properties file has bootstrap.servers. sourceProps and targetProps are paths of Java client
// properties files, or empty. shifted are the topics to begin with shifted offsets. Errors are [Problems] that name the flags.
func FromFlags(source, target string, topics, shifted []string, sourceProps, targetProps string) (*Migration, error) {
	m := &Migration{APIVersion: APIVersion, Kind: Kind, Metadata: Metadata{Name: "try"}}
	d := newDecoder("")
	m.Spec.Clusters = []Cluster{
		flagCluster("source", source, sourceProps),
		flagCluster("target", target, targetProps),
	}
	f := Flow{}
	setDefaults(reflect.ValueOf(&f).Elem())
	f.Source, f.Target = "source", "target"
	for _, list := range []struct {
		path string
		from []string
		to   *[]Pattern
	}{{"spec.flows[0].topics", topics, &f.Topics}, {"spec.flows[0].shifted", shifted, &f.Shifted}} {
		for _, t := range list.from {
			p, err := ParsePattern(strings.TrimSpace(t))
			if err != nil {
				what, fix := cutFix(err)
				d.at(list.path, what, fix)
				continue
			}
			*list.to = append(*list.to, p)
		}
	}
	if len(topics) == 0 {
		d.at("spec.flows[0].topics", "no topics are named", "write for example --topics 'orders.*,payments'")
	}
	m.Spec.Flows = []Flow{f}
	v := validator{decoder: d, m: m}
	v.migration()
	for _, p := range d.problems {
		for _, fl := range flagNames {
			if p.File == "" && strings.HasPrefix(p.Path, fl.prefix) {
				p.Path = fl.flag
				break
			}
		}
	}
	if err := d.problems.sorted(); err != nil {
		return nil, err
	}
	return m, nil
}

func flagCluster(alias, servers, props string) Cluster {
	c := Cluster{}
	setDefaults(reflect.ValueOf(&c).Elem())
	c.Alias, c.BootstrapServers, c.Properties = alias, splitList(servers), props
	if props != "" {
		c.dir = filepath.Dir(props)
		c.Properties = filepath.Base(props)
	}
	return c
}
