package house_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const root = "../.."

// sources calls f for each Go file of the module.
func sources(t *testing.T, f func(path string, set *token.FileSet, file *ast.File)) {
	t.Helper()
	n := 0
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name := d.Name(); d.IsDir() {
			if path != root && (strings.HasPrefix(name, ".") || name == "node_modules" || name == "testdata" || name == "bin") {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(path, ".go") {
			return nil
		}
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, path, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		n++
		f(strings.TrimPrefix(path, root+"/"), set, file)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if n < 10 {
		t.Fatalf("found only %d Go files", n)
	}
}

// forbidden calls, and why.
var forbidden = map[string]string{
	"time.Sleep": "wait for the condition itself: a channel, a ticker, testing/synctest",
	"t.Skip":     "a test that is skipped proves nothing",
	"t.Skipf":    "a test that is skipped proves nothing",
	"t.SkipNow":  "a test that is skipped proves nothing",
	"b.Skip":     "a test that is skipped proves nothing",
}

func TestNoSleepAndNoSkip(t *testing.T) {
	sources(t, func(path string, set *token.FileSet, file *ast.File) {
		ast.Inspect(file, func(n ast.Node) bool {
			if call, ok := n.(*ast.CallExpr); ok {
				if sel, ok := call.Fun.(*ast.SelectorExpr); ok {
					if x, ok := sel.X.(*ast.Ident); ok {
						if why, bad := forbidden[x.Name+"."+sel.Sel.Name]; bad {
							t.Errorf("%s:%d: %s.%s: %s", path, set.Position(call.Pos()).Line, x.Name, sel.Sel.Name, why)
						}
					}
				}
			}
			return true
		})
	})
}

var unfinished = regexp.MustCompile(`\b(TODO|FIXME|XXX|HACK)\b`)

func TestNothingIsLeftUnfinished(t *testing.T) {
	sources(t, func(path string, set *token.FileSet, file *ast.File) {
		for _, g := range file.Comments {
			if m := unfinished.FindString(g.Text()); m != "" {
				t.Errorf("%s:%d: a comment says %s", path, set.Position(g.Pos()).Line, m)
			}
		}
	})
}

func TestEveryPackageSaysWhatItIsFor(t *testing.T) {
	documented := map[string]bool{}
	sources(t, func(path string, _ *token.FileSet, file *ast.File) {
		if strings.HasSuffix(path, "_test.go") {
			return
		}
		dir := filepath.Dir(path)
		documented[dir] = documented[dir] || file.Doc != nil
	})
	for dir, ok := range documented {
		if !ok {
			t.Errorf("%s has no package comment", dir)
		}
	}
}
