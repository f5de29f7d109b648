//! Uses what tonic and prost make of the contract: a typed spec, fields with presence, oneofs, an error within a stream.
pub mod google {
    pub mod rpc {
        tonic::include_proto!("google.rpc");
    }
}

pub mod headstart {
    pub mod v1 {
        tonic::include_proto!("headstart.v1");
    }
}

use headstart::v1::{
    create_train_job_request::SpecSource, dataset_source::Source, predict_stream_response, train_job,
    training_service_client::TrainingServiceClient, CreateTrainJobRequest, DatasetSource, PredictStreamResponse, TrainJob,
    TrainSpec, Trainer,
};

fn request() -> CreateTrainJobRequest {
    let trainer = Trainer { epochs: Some(3), ..Default::default() };
    CreateTrainJobRequest {
        spec_source: Some(SpecSource::Spec(TrainSpec { trainer: Some(trainer), ..Default::default() })),
        dataset: Some(DatasetSource { source: Some(Source::Path("reviews.csv".into())), ..Default::default() }),
        ..Default::default()
    }
}

fn shown(job: &TrainJob) -> (bool, Option<f64>) {
    (job.state() == train_job::State::Succeeded, job.progress)
}

fn failed(response: &PredictStreamResponse) -> Option<&google::rpc::Status> {
    match &response.result {
        Some(predict_stream_response::Result::Error(status)) => Some(status),
        _ => None,
    }
}

pub async fn create(address: &'static str) -> Result<TrainJob, Box<dyn std::error::Error>> {
    let channel = tonic::transport::Channel::from_static(address).connect().await?;
    Ok(TrainingServiceClient::new(channel).create_train_job(request()).await?.into_inner())
}

fn main() {
    assert_eq!(shown(&TrainJob::default()), (false, None));
    assert!(failed(&PredictStreamResponse::default()).is_none());
    println!("{:?}", request());
}
