// Reads a JSON list of Kubernetes objects, and prints the list of their statuses as kstatus computes them.
package main

import (
	"encoding/json"
	"log"
	"os"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"
)

func main() {
	var objects []unstructured.Unstructured
	if err := json.NewDecoder(os.Stdin).Decode(&objects); err != nil {
		log.Fatal(err)
	}
	computed := make([]string, len(objects))
	for i := range objects {
		result, err := status.Compute(&objects[i])
		if err != nil {
			log.Fatal(err)
		}
		computed[i] = result.Status.String()
	}
	if err := json.NewEncoder(os.Stdout).Encode(computed); err != nil {
		log.Fatal(err)
	}
}
