// Command crdcheck validates a CustomResourceDefinition as an API server would, and then manifests
// against it: schema, defaults and CEL rules, without a cluster.
//
//	crdcheck CRD.yaml [MANIFEST.yaml ...]
//
// A manifest whose first line is "# refused: TEXT" must be refused with an error that contains TEXT;
// every other one must be admitted. "# updates: FILE" in the second line makes it an update of the
// manifest in FILE, which lies beside it.
package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	v1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	schemavalidation "k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apimachinery/pkg/util/json"
	"k8s.io/apimachinery/pkg/util/validation/field"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"sigs.k8s.io/yaml"
)

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: crdcheck CRD.yaml [MANIFEST.yaml ...]")
		os.Exit(2)
	}
	checker, err := load(os.Args[1])
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", os.Args[1], err)
		os.Exit(1)
	}
	fmt.Printf("ok    %s\n", os.Args[1])
	failed := false
	for _, path := range os.Args[2:] {
		if err := checker.expect(path); err != nil {
			failed = true
			fmt.Printf("FAIL  %s: %v\n", path, err)
		} else {
			fmt.Printf("ok    %s\n", path)
		}
	}
	if failed {
		os.Exit(1)
	}
}

type checker struct {
	structural *schema.Structural
	schema     schemavalidation.SchemaCreateValidator
	rules      *cel.Validator
}

// load validates the definition and prepares its schema.
func load(path string) (*checker, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	crd := &v1.CustomResourceDefinition{}
	if err := yaml.UnmarshalStrict(text, crd); err != nil {
		return nil, err
	}
	v1.SetDefaults_CustomResourceDefinition(crd)
	v1.SetDefaults_CustomResourceDefinitionSpec(&crd.Spec)
	internal := &apiextensions.CustomResourceDefinition{}
	if err := v1.Convert_v1_CustomResourceDefinition_To_apiextensions_CustomResourceDefinition(crd, internal, nil); err != nil {
		return nil, err
	}
	// What the API server itself fills in on creation.
	internal.Status.StoredVersions = []string{crd.Spec.Versions[0].Name}
	if errs := validation.ValidateCustomResourceDefinition(context.Background(), internal); len(errs) > 0 {
		return nil, errs.ToAggregate()
	}
	props := internal.Spec.Validation
	if props == nil {
		props = internal.Spec.Versions[0].Schema
	}
	structural, err := schema.NewStructural(props.OpenAPIV3Schema)
	if err != nil {
		return nil, err
	}
	validator, _, err := schemavalidation.NewSchemaValidator(props.OpenAPIV3Schema)
	if err != nil {
		return nil, err
	}
	return &checker{structural, validator, cel.NewValidator(structural, true, celconfig.PerCallLimit)}, nil
}

// expect compares what happens to a manifest with what its comments say.
func (c *checker) expect(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	refused, from := "", ""
	for _, line := range strings.Split(string(text), "\n") {
		if after, ok := strings.CutPrefix(line, "# refused: "); ok {
			refused = after
		}
		if after, ok := strings.CutPrefix(line, "# updates: "); ok {
			from = after
		}
	}
	object, err := c.read(path)
	if err != nil {
		return err
	}
	var old map[string]any
	if from != "" {
		if old, err = c.read(filepath.Join(filepath.Dir(path), from)); err != nil {
			return err
		}
	}
	errs := c.admit(object, old)
	switch {
	case refused == "" && len(errs) > 0:
		return errs.ToAggregate()
	case refused != "" && len(errs) == 0:
		return fmt.Errorf("was admitted, but must be refused with %q", refused)
	case refused != "" && !strings.Contains(errs.ToAggregate().Error(), refused):
		return fmt.Errorf("must be refused with %q, but was with: %w", refused, errs.ToAggregate())
	}
	return nil
}

func (c *checker) read(path string) (map[string]any, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	object := map[string]any{}
	asJSON, err := yaml.YAMLToJSONStrict(text)
	if err != nil {
		return nil, err
	}
	// Not the standard decoder: whole numbers have to become integers.
	if err := json.Unmarshal(asJSON, &object); err != nil {
		return nil, err
	}
	if unknown := pruning.PruneWithOptions(object, c.structural, true, schema.UnknownFieldPathOptions{TrackUnknownFieldPaths: true}); len(unknown) > 0 {
		return nil, fmt.Errorf("unknown fields %v", unknown)
	}
	defaulting.Default(object, c.structural)
	return object, nil
}

func (c *checker) admit(object, old map[string]any) field.ErrorList {
	errs := schemavalidation.ValidateCustomResource(nil, object, c.schema)
	if len(errs) > 0 {
		return errs
	}
	var oldObject any
	if old != nil {
		oldObject = old
	}
	errs, _ = c.rules.Validate(context.Background(), nil, c.structural, object, oldObject, celconfig.RuntimeCELCostBudget)
	return errs
}
