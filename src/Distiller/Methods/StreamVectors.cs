namespace KdServing.Distiller.Methods;

/// <summary>The hidden vectors that a teacher streams with its logits become the batch's teacher vectors.</summary>
internal sealed class StreamVectors(int width) : MethodPart
{
    public override void Run(LearningStep step) => step.TeacherVectors = new(
        LearningStep.Copy(step.Batch.Hidden, step.Batch.Candidates, width), step.Batch.HiddenKnown.ToArray());
}
