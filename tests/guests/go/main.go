// The Go guest: shows its arguments and its environment, then copies the file
// in.txt to out.txt in the working directory, both by relative path.
//
// A missing in.txt is not an error (a step may be granted no file at all); a file
// that is there but cannot be copied ends the step with 1.
package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sort"
	"strings"
)

func main() {
	for index, argument := range os.Args[1:] {
		fmt.Printf("arg %d: %s\n", index+1, argument)
	}
	environment := os.Environ()
	sort.Strings(environment)
	for _, variable := range environment {
		fmt.Printf("env %s\n", variable)
	}
	if err := copyFile("in.txt", "out.txt"); err != nil {
		fmt.Fprintf(os.Stderr, "hello-go: %v\n", err)
		os.Exit(1)
	}
}

func copyFile(from, to string) error {
	content, err := os.ReadFile(from)
	if err != nil {
		fmt.Printf("no %s: %v\n", from, reason(err))
		return nil
	}
	fmt.Printf("copied %d bytes: %s\n", len(content), strings.TrimSpace(string(content)))
	return os.WriteFile(to, content, 0o644)
}

// reason drops the path, which the caller has already printed.
func reason(err error) error {
	var pathError *fs.PathError
	if errors.As(err, &pathError) {
		return pathError.Err
	}
	return err
}
