import ca.uhn.fhir.context.FhirContext;
import ca.uhn.fhir.context.support.DefaultProfileValidationSupport;
import ca.uhn.fhir.context.support.IValidationSupport;
import ca.uhn.fhir.context.support.ValidationSupportContext;
import ca.uhn.fhir.rest.server.exceptions.BaseServerResponseException;
import ca.uhn.fhir.validation.FhirValidator;
import ca.uhn.fhir.validation.ResultSeverityEnum;
import ca.uhn.fhir.validation.SingleValidationMessage;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.hl7.fhir.common.hapi.validation.support.CommonCodeSystemsTerminologyService;
import org.hl7.fhir.common.hapi.validation.support.InMemoryTerminologyServerValidationSupport;
import org.hl7.fhir.common.hapi.validation.support.PrePopulatedValidationSupport;
import org.hl7.fhir.common.hapi.validation.support.SnapshotGeneratingValidationSupport;
import org.hl7.fhir.common.hapi.validation.support.UnknownCodeSystemWarningValidationSupport;
import org.hl7.fhir.common.hapi.validation.support.ValidationSupportChain;
import org.hl7.fhir.common.hapi.validation.validator.FhirInstanceValidator;
import org.hl7.fhir.instance.model.api.IBaseResource;
import org.hl7.fhir.r4.model.Questionnaire;
import org.hl7.fhir.r4.model.StructureDefinition;

/**
 * Validates every JSON file of a corpus folder as FHIR R4, knowing the definitions (Questionnaire, CodeSystem, ValueSet,
 * StructureDefinition) of another folder. Prints each finding as severity, file, place and message; exits 1 on an error.
 */
public final class ValidateCorpus {
  /** Extensions of published guides that R4 itself does not define; every other unknown extension is an error. */
  private static final List<String> PUBLISHED_ELSEWHERE = List.of(
      "http://hl7.org/fhir/uv/sdc/StructureDefinition/",
      "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/",
      "http://hl7.org/fhir/StructureDefinition/itemWeight");

  /** Inside HAPI the engine cannot generate a snapshot while it validates a profile; generateSnapshot does it instead. */
  private static final String NEEDS_A_PACKAGE = "Error generating Snapshot: Unable to resolve package id";

  public static void main(String[] args) throws IOException {
    if (args.length != 2) {
      System.err.println("usage: ValidateCorpus DEFINITIONS_FOLDER CORPUS_FOLDER");
      System.exit(2);
    }
    FhirContext context = FhirContext.forR4();
    IValidationSupport support = supportKnowing(context, Path.of(args[0]));
    FhirValidator validator = validator(context, support);
    int files = 0;
    int errors = 0;
    int warnings = 0;
    for (Path file : jsonFiles(Path.of(args[1]))) {
      files++;
      String text = Files.readString(file);
      try {
        generateSnapshot(context, support, text);
      } catch (BaseServerResponseException failure) {
        errors++;
        System.out.println(String.join("\t", "error", file.getFileName().toString(), "StructureDefinition",
            failure.getMessage()));
      }
      for (SingleValidationMessage finding : validator.validateWithResult(text).getMessages()) {
        ResultSeverityEnum severity = finding.getSeverity();
        if (severity == ResultSeverityEnum.INFORMATION || finding.getMessage().startsWith(NEEDS_A_PACKAGE)) {
          continue;
        }
        boolean wrong = severity != ResultSeverityEnum.WARNING;
        errors += wrong ? 1 : 0;
        warnings += wrong ? 0 : 1;
        System.out.println(String.join("\t", severity.name().toLowerCase(), file.getFileName().toString(),
            String.valueOf(finding.getLocationString()), finding.getMessage()));
      }
    }
    System.out.printf("HL7 validator: %d resources, %d errors, %d warnings%n", files, errors, warnings);
    System.exit(errors > 0 || files == 0 ? 1 : 0);
  }

  private static IValidationSupport supportKnowing(FhirContext context, Path definitions) throws IOException {
    PrePopulatedValidationSupport own = new PrePopulatedValidationSupport(context);
    Map<String, Questionnaire> questionnaires = new HashMap<>();
    for (Path file : jsonFiles(definitions)) {
      IBaseResource resource = context.newJsonParser().parseResource(Files.readString(file));
      own.addResource(resource);
      if (resource instanceof Questionnaire questionnaire) {
        questionnaires.put(questionnaire.getUrl() + "|" + questionnaire.getVersion(), questionnaire);
      }
    }
    // LOINC, SNOMED CT and UCUM cannot be shipped: an unknown code of theirs is a warning, never an error.
    UnknownCodeSystemWarningValidationSupport absent = new UnknownCodeSystemWarningValidationSupport(context);
    absent.setNonExistentCodeSystemSeverity(IValidationSupport.IssueSeverity.WARNING);
    return new ValidationSupportChain(new DefaultProfileValidationSupport(context), own,
        new Questionnaires(context, questionnaires),
        new CommonCodeSystemsTerminologyService(context), new InMemoryTerminologyServerValidationSupport(context),
        new SnapshotGeneratingValidationSupport(context), absent);
  }

  /** The Questionnaires by canonical with version, as a response names its own: HAPI looks up other types only. */
  private record Questionnaires(FhirContext context, Map<String, Questionnaire> known) implements IValidationSupport {
    @Override
    public FhirContext getFhirContext() {
      return context;
    }

    @Override
    public <T extends IBaseResource> T fetchResource(Class<T> type, String canonical) {
      Questionnaire found = known.get(canonical);
      return type != null && type.isInstance(found) ? type.cast(found) : null;
    }
  }

  private static FhirValidator validator(FhirContext context, IValidationSupport support) {
    FhirInstanceValidator instances = new FhirInstanceValidator(support);
    instances.setAnyExtensionsAllowed(false);
    instances.setCustomExtensionDomains(PUBLISHED_ELSEWHERE);
    instances.setErrorForUnknownProfiles(true);
    return context.newValidator().registerValidatorModule(instances);
  }

  /** Throws when the text is a StructureDefinition that makes no snapshot: an unknown base, type or constraint. */
  private static void generateSnapshot(FhirContext context, IValidationSupport support, String text) {
    if (text.contains("\"StructureDefinition\"")
        && context.newJsonParser().parseResource(text) instanceof StructureDefinition definition) {
      support.generateSnapshot(new ValidationSupportContext(support), definition, definition.getUrl(), null,
          definition.getName());
    }
  }

  private static List<Path> jsonFiles(Path folder) throws IOException {
    try (Stream<Path> files = Files.walk(folder)) {
      return files.filter(file -> file.toString().endsWith(".json")).sorted().toList();
    }
  }
}
